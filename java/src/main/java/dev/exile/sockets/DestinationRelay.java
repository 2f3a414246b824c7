package dev.exile.sockets;

import io.netty.channel.Channel;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.util.AttributeKey;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The destination's half of a migration's relay: joins home's streams to the restored process.
 *
 * <p>A connection that existed at the freeze has two parts that come in any order: home's stream,
 * and the socket that {@link #attach} takes over. A connection accepted at home since is joined to
 * a new connection to the process's listener, see {@link Newcomer}.
 *
 * <p>Every socket is parked before a byte moves through it, and stays so until home has said that
 * its connection is over: it alone decides that. A connection whose stream is lost waits for
 * another. Thread-safe.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
public final class DestinationRelay implements AutoCloseable, Splice.Owner {
  private static final Logger log = LoggerFactory.getLogger(DestinationRelay.class);
  private static final long PARK_SECONDS = 10;

  private static final AttributeKey<Boolean> TURNED_AWAY =
      AttributeKey.valueOf(DestinationRelay.class, "turned away");

  private final String migration;
  private final Park park;
  private final RelayCounters counters = new RelayCounters();
  private final ForeignRoutes routes;
  private final LateListeners lateListeners;
  private final Map<String, Entry> entries = new HashMap<>();
  private final Map<String, CompletableFuture<Void>> adopted = new HashMap<>();
  private final Map<String, InetSocketAddress> targets = new HashMap<>();
  private List<Runnable> early = new ArrayList<>();
  private boolean sealed;
  private boolean drained;
  private boolean halted;
  private Map<String, Passage> expected = Map.of();

  /** The carrier of which home has said that it has all connections; null before. */
  private Channel carrier;

  /** The latest of home's carriers. */
  private long session = Long.MIN_VALUE;

  /** A connection that home may ask for. */
  private static final class Entry {
    final CompletableFuture<Park.Parked> parked = new CompletableFuture<>();
    Splice splice;
  }

  /**
   * What is parked, by a former agent, is relayed as soon as home asks for it.
   *
   * @param migration its id
   * @param park holds the sockets; belongs to this relay from now on
   * @param routes are needed until this relay is closed
   */
  public DestinationRelay(String migration, Park park, ForeignRoutes routes) {
    this.migration = migration;
    this.park = park;
    this.routes = routes;
    lateListeners = new LateListeners(migration);
    routes.acquire(migration);
    for (Park.Parked found : park.all()) {
      newEntry(found.name()).parked.complete(found);
    }
  }

  private Entry newEntry(String name) {
    Entry entry = new Entry();
    entries.put(name, entry);
    counters.opened.increment();
    return entry;
  }

  /** Gives the restored process its sockets back. */
  public Reconnector reconnector() {
    return new Reconnector(migration, routes);
  }

  /**
   * Tells where listeners are to be looked for that the process opens later.
   *
   * @param pids tells its tree's PIDs on this host, by any thread
   */
  public void processes(Supplier<List<Integer>> pids) {
    lateListeners.of(pids);
  }

  /**
   * These connections have been relayed elsewhere before: they count on from there. To be called
   * before any is attached.
   */
  public synchronized void expect(Passages passages) {
    expected = passages.byName();
  }

  private synchronized ParkNote note(String name, ParkNote fresh) {
    Passage passage = expected.get(name);
    return passage == null ? fresh : passage.noteFrom(fresh);
  }

  /** This host's socket of a connection that is parked; it stays the relay's. */
  int descriptor(String name) throws IOException {
    Park.Parked parked = park.get(name);
    if (parked == null) {
      throw new IOException("connection " + name + " is not known here");
    }
    return parked.fd();
  }

  /** All connections. */
  List<Park.Parked> parked() {
    return park.all();
  }

  /**
   * From now on no byte moves, and no stream of home's is taken: the process is about to leave. Not
   * on an event loop.
   */
  public void halt() {
    List<Splice> moving = new ArrayList<>();
    synchronized (this) {
      halted = true;
      carrier = null;
      for (Entry entry : entries.values()) {
        if (entry.splice != null) {
          moving.add(entry.splice);
          entry.splice = null;
        }
      }
    }
    for (Splice splice : moving) {
      free(splice).join();
    }
  }

  /** It stays: home's streams are taken again. */
  public synchronized void goOn() {
    halted = false;
  }

  /**
   * Takes over the other end of a socket of the process, through which nothing has moved here. To
   * be called before {@link #seal}, by any thread.
   *
   * @param name names it within the migration, as home uses it
   * @param fd its descriptor, owned by the relay from now on
   */
  public void attach(String name, int fd) {
    adopt(name, fd, new ParkNote(0, 0, null));
  }

  /**
   * The same for any connected TCP socket of this host itself, which is relayed as if the process's
   * socket of that name were at its other end.
   *
   * @throws IOException where the descriptor is no TCP socket
   */
  public void adopt(String name, int fd) throws IOException {
    adopt(name, fd, ParkNote.from(SocketProgress.of(fd)));
  }

  private void adopt(String name, int fd, ParkNote fresh) {
    CompletableFuture<Void> parked = new CompletableFuture<>();
    synchronized (this) {
      adopted.put(name, parked);
    }
    hold(name, fd, note(name, fresh)).thenRun(() -> parked.complete(null));
  }

  private CompletableFuture<Void> hold(String name, int fd, ParkNote note) {
    Entry entry;
    synchronized (this) {
      entry = newEntry(name);
    }
    CompletableFuture<Void> held = park.hold(name, fd, note);
    held.thenRun(() -> entry.parked.complete(park.get(name)));
    retryEarly();
    return held;
  }

  /**
   * Everything is taken over. Returns once all of it will outlive this agent.
   *
   * @throws IOException where that takes too long
   */
  public void seal() throws IOException {
    CompletableFuture<Void> all;
    synchronized (this) {
      sealed = true;
      all = CompletableFuture.allOf(adopted.values().toArray(CompletableFuture[]::new));
    }
    retryEarly();
    try {
      all.get(PARK_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      throw new IOException("not all connections of the process could be parked", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while connections were parked", e);
    }
  }

  /**
   * Tells where connections go that home's listener accepts.
   *
   * @param name the listener's name, as home uses it
   * @param target an address at which the process listens here
   */
  public void listener(String name, InetSocketAddress target) {
    synchronized (this) {
      targets.put(name, target);
    }
    retryEarly();
  }

  private void retryEarly() {
    List<Runnable> waiting;
    synchronized (this) {
      waiting = early;
      early = new ArrayList<>();
    }
    waiting.forEach(Runnable::run);
  }

  /** What was done so far. */
  public RelayStats stats() {
    return counters.destination();
  }

  /** Whether home is connected, so that what is open is still to be finished and can be. */
  public synchronized boolean served() {
    return carrier != null && carrier.isActive();
  }

  // ---- Home's streams, on their event loops. ----

  /** Home opens a connection's stream; the stream's pipeline has no handler yet. */
  void open(Http2StreamChannel stream, String name, CarrierProtocol.Opening opening) {
    Splice splice = new Splice(stream, name, counters, null, this);
    stream.pipeline().addLast(new SpliceStreamHandler(splice));
    admit(splice, opening);
  }

  private void admit(Splice splice, CarrierProtocol.Opening opening) {
    Entry entry;
    Splice before = null;
    InetSocketAddress target = null;
    synchronized (this) {
      if (halted || isStale(opening)) {
        turnAway(splice.stream());
        splice.stream().close();
        return;
      }
      entry = entries.get(splice.name());
      if (entry != null) {
        before = entry.splice;
        entry.splice = splice;
      } else if (opening.listener() != null && opening.untouched() && !drained) {
        target = targets.get(opening.listener());
      }
      if (entry == null && target == null && !sealed) {
        early.add(() -> splice.loop().execute(() -> admit(splice, opening)));
        return;
      }
      if (target != null) {
        counters.accepted.increment();
        entry = newEntry(splice.name());
        entry.splice = splice;
      }
    }
    if (entry == null) {
      refuse(
          splice,
          CarrierProtocol.Answer.GONE,
          "connection " + splice.name() + " is not known here (any more)");
      return;
    }
    if (target != null && !make(splice, entry, opening, target)) {
      return;
    }
    Entry joined = entry;
    free(before)
        .thenCombine(entry.parked, (free, parked) -> parked)
        .thenAccept(parked -> splice.loop().execute(() -> begin(joined, parked, splice, opening)));
  }

  /** A carrier that home has given up may still have something to say. Under our lock. */
  private boolean isStale(CarrierProtocol.Opening opening) {
    if (opening.session() < session) {
      log.debug("{}: a stream of a former carrier is passed over", migration);
      return true;
    }
    session = opening.session();
    return false;
  }

  /**
   * A new connection to the process, parked before it is made.
   *
   * @return false where it cannot be made and has been refused
   */
  private boolean make(
      Splice splice, Entry entry, CarrierProtocol.Opening opening, InetSocketAddress target) {
    String name = splice.name();
    try {
      int fd = new Newcomer(migration, routes, opening, target).open();
      park.hold(name, fd, ParkNote.connecting(opening.listener()))
          .thenRun(() -> entry.parked.complete(park.get(name)));
      return true;
    } catch (IOException e) {
      synchronized (this) {
        entries.remove(name);
      }
      counters.closed.increment();
      refuse(splice, CarrierProtocol.Answer.BROKEN, "" + e.getMessage());
      return false;
    }
  }

  /**
   * Takes the socket from a splice whose stream home has given up, though we did not notice yet.
   */
  private static CompletableFuture<Void> free(Splice before) {
    if (before == null) {
      return CompletableFuture.completedFuture(null);
    }
    return CompletableFuture.runAsync(
        () -> {
          before.detach();
          before.stream().close();
        },
        before.loop());
  }

  private void begin(
      Entry entry, Park.Parked parked, Splice splice, CarrierProtocol.Opening opening) {
    if (splice.isDone() || !isCurrent(entry, splice)) {
      return;
    }
    try {
      Offsets at = Offsets.of(parked);
      InetSocketAddress target = at.untouched() ? target(parked, opening) : null;
      splice.take(parked, at);
      answer(splice, CarrierProtocol.Answer.received(at.position()), false);
      if (!splice.resume(opening.received(), at)) {
        splice.listen();
      } else if (target != null) {
        splice.connect(target);
        if (routes.reach(target.getAddress())) {
          lateListeners.watch(splice, target.getPort());
        }
      } else {
        splice.open(at);
      }
    } catch (IOException e) {
      log.error("{}: connection {} cannot be relayed", migration, splice.name(), e);
      refuse(splice, CarrierProtocol.Answer.BROKEN, "" + e.getMessage());
    }
  }

  private synchronized boolean isCurrent(Entry entry, Splice splice) {
    return entry.splice == splice;
  }

  /** Where a connection is still to be made to; null where it is made. */
  private InetSocketAddress target(Park.Parked parked, CarrierProtocol.Opening opening)
      throws IOException {
    String listener = ParkNote.parse(parked.note()).listener();
    InetSocketAddress target;
    synchronized (this) {
      target = listener == null ? null : targets.get(listener);
    }
    return target == null
        ? null
        : new Newcomer(migration, routes, opening, target).target(parked.fd());
  }

  private void refuse(Splice splice, int status, String reason) {
    log.warn("{}: refused: {}", migration, reason);
    splice.listen();
    answer(splice, CarrierProtocol.Answer.refused(status, reason), true);
  }

  private static void answer(Splice splice, CarrierProtocol.Answer answer, boolean last) {
    splice.stream().writeAndFlush(new DefaultHttp2HeadersFrame(answer.headers(), last));
  }

  /** One of a carrier's streams was not taken: what home says of all of them does not hold here. */
  static void turnAway(Http2StreamChannel stream) {
    stream.parent().attr(TURNED_AWAY).set(true);
  }

  static boolean isTurnedAway(Http2StreamChannel stream) {
    return stream.parent().hasAttr(TURNED_AWAY);
  }

  /** Home has opened streams for all connections that it has: the others are over. */
  void sync(Channel through, long number) {
    List<String> over = new ArrayList<>();
    synchronized (this) {
      if (halted || number < session) {
        return;
      }
      carrier = through;
      entries.forEach(
          (name, entry) -> {
            if (entry.splice == null) {
              over.add(name);
            }
          });
    }
    over.forEach(this::end);
  }

  @Override
  public void toldOver(Splice splice) {
    synchronized (this) {
      Entry entry = entries.get(splice.name());
      if (entry == null || entry.splice != splice) {
        return;
      }
    }
    splice.detach();
    end(splice.name());
  }

  @Override
  public synchronized void lost(Splice splice) {
    Entry entry = entries.get(splice.name());
    if (entry != null && entry.splice == splice) {
      entry.splice = null;
    }
  }

  /** Ends a connection that no splice works with. */
  private void end(String name) {
    Entry entry;
    synchronized (this) {
      entry = entries.remove(name);
    }
    if (entry != null) {
      counters.closed.increment();
      entry.parked.thenAccept(
          parked -> {
            Splice.end(parked);
            park.drop(name);
          });
    }
  }

  // ---- The end. ----

  /**
   * The process has ended: no more connections come in, those that exist may deliver what is under
   * way. To be followed by {@link #close}.
   */
  public void drain() {
    synchronized (this) {
      drained = true;
    }
  }

  /** Resets all connections, as far as they have not ended. */
  @Override
  public void close() {
    drain();
    Map<String, Entry> open;
    synchronized (this) {
      open = Map.copyOf(entries);
    }
    open.forEach(
        (name, entry) -> {
          Splice splice;
          synchronized (this) {
            splice = entry.splice;
            entry.splice = null;
          }
          if (splice != null) {
            splice.loop().submit(() -> splice.leave()).syncUninterruptibly();
          }
          end(name);
        });
    park.quit();
    routes.release(migration);
  }
}
