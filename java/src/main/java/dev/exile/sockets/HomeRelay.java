package dev.exile.sockets;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.SocketAddressBytes;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's half of a migration's relay: its real sockets, joined to a carrier after COMMIT.
 *
 * <p>Before {@link #start} the sockets are only parked: nothing is read, accepted or set, so that a
 * thawed process finds them as it left them. They are duplicates of descriptors that a frozen
 * process holds; ends are therefore told to the peers explicitly (FIN by shutdown, RST by
 * disconnect).
 *
 * <p>Nothing is lost with the carrier, the destination's agent or this one: connections wait,
 * parked, until there is another carrier, and go on where the kernels on both hosts stand. The next
 * agent begins with what it finds parked. Thread-safe.
 */
// Futures that are chained here are completed by us, and never exceptionally.
@SuppressWarnings("FutureReturnValueIgnored")
public final class HomeRelay implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(HomeRelay.class);
  private static final long RETRY_MILLIS = 200;
  private static final long TURNED_AWAY_MILLIS = 1_000;
  private static final long PARK_SECONDS = 10;

  private enum State {
    HOLDING,
    RUNNING,
    ENDED
  }

  private final Park park;
  private volatile String migration;
  private volatile Connector connector;
  private final RelayCounters counters = new RelayCounters();
  private volatile FeltWatch felt = new FeltWatch(); // of the latest move
  private final CompletableFuture<Void> drained = new CompletableFuture<>();
  private final List<CompletableFuture<Void>> holding = new ArrayList<>();
  private final Map<String, CompletableFuture<Void>> overs = new HashMap<>();

  /** Connections that lead to a helper on this host; a former agent's are not known. */
  private final Set<String> wires = ConcurrentHashMap.newKeySet();

  /** Connections that have had a stream. */
  private final Set<String> streamed = new HashSet<>();

  private State state = State.HOLDING;

  /** Rises as the destination changes; what was begun for a former one is dropped. */
  private int course;

  private boolean paused;
  private HomeSession session;

  /** What the destination's agent last said as it took no connection; null before. */
  private String turnedAway;

  /** Makes a new carrier when one is lost. */
  @FunctionalInterface
  public interface Connector {
    /** Connects to the destination; called again, a little later, where it fails. */
    Carrier connect() throws IOException;
  }

  /**
   * @param migration the migration's id, as registered at the destination
   * @param park holds the sockets; belongs to this relay from now on
   */
  public HomeRelay(String migration, Park park, Connector connector) {
    this.migration = migration;
    this.park = park;
    this.connector = connector;
    for (Park.Parked found : park.all()) {
      if (!found.listening()) {
        streamed.add(found.name());
        register(found.name());
      }
    }
  }

  private synchronized void register(String name) {
    overs.put(name, new CompletableFuture<>());
    counters.opened.increment();
  }

  /**
   * Takes over a connected TCP socket, before {@link #start}.
   *
   * @param name names the socket within the migration: letters, digits and dashes, at most 64
   * @param fd a duplicate of its descriptor, owned by the relay from now on
   * @throws IOException where the descriptor is no TCP socket
   */
  public void adoptConnection(String name, int fd) throws IOException {
    felt.held(name, fd, adopt(name, fd));
  }

  /**
   * The same for a connection that leads to a helper on this host: nobody feels how long it waits.
   */
  public void adoptWire(String name, int fd) throws IOException {
    wires.add(name);
    adopt(name, fd);
  }

  /** Returns how many bytes wait in it. */
  private long adopt(String name, int fd) throws IOException {
    SocketProgress progress;
    try {
      progress = SocketProgress.of(fd);
    } catch (IOException e) {
      Linux.closeQuietly(fd);
      throw e;
    }
    synchronized (this) {
      checkHolding();
      holding.add(park.hold(name, fd, ParkNote.from(progress)));
      register(name);
    }
    return progress.unread();
  }

  /**
   * Takes over a listening TCP socket, before {@link #start}.
   *
   * @param name names the socket within the migration: letters, digits and dashes, at most 64
   * @param fd a duplicate of its descriptor, owned by the relay from now on
   */
  public synchronized void adoptListener(String name, int fd) {
    checkHolding();
    holding.add(park.listen(name, fd));
  }

  private void checkHolding() {
    if (state != State.HOLDING) {
      throw new IllegalStateException("relay of " + migration + " has already begun");
    }
  }

  /**
   * Waits until all adopted sockets outlive this agent.
   *
   * @throws IOException where that takes too long
   */
  public void awaitParked() throws IOException {
    CompletableFuture<Void> all;
    synchronized (this) {
      all = CompletableFuture.allOf(holding.toArray(CompletableFuture[]::new));
    }
    try {
      all.get(PARK_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new IOException(e.getCause().getMessage(), e);
    } catch (TimeoutException e) {
      throw new IOException("not all connections of the process could be parked", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while connections were parked", e);
    }
  }

  /**
   * COMMIT has been acknowledged: joins all sockets to the carrier and begins to read and accept.
   * Returns when all are joined.
   *
   * @param open the first carrier; where it is null or lost, another one is made in time
   * @throws IllegalStateException if it was started or ended before
   */
  public void start(Carrier open) {
    synchronized (this) {
      checkHolding();
      state = State.RUNNING;
    }
    felt.resumed();
    park.accept(this::accepted);
    if (open != null) {
      begin(open, 0);
    } else {
      reconnect(0);
    }
  }

  /**
   * The process is about to leave the destination: lets the carrier go, and makes no other one
   * before {@link #resume}. Connections are accepted and wait. Returns when nothing moves any more.
   */
  public void pause() {
    HomeSession last;
    synchronized (this) {
      paused = true;
      course++;
      last = session;
      session = null;
    }
    if (last != null) {
      onLoop(last.loop(), last::detach);
      last.carrier().close();
    }
    felt.end();
    felt = new FeltWatch();
    for (Park.Parked parked : park.all()) {
      if (!parked.listening() && !wires.contains(parked.name())) {
        felt.held(parked);
      }
    }
  }

  /**
   * Goes on, with the same destination or the next one.
   *
   * @param to the id by which the destination knows the migration
   * @param by makes carriers to it
   * @param open a first one, or null
   */
  public void resume(String to, Connector by, Carrier open) {
    int now;
    felt.resumed();
    synchronized (this) {
      migration = to;
      connector = by;
      paused = false;
      now = course;
      if (state != State.RUNNING) {
        if (open != null) {
          open.close();
        }
        return;
      }
    }
    if (open != null) {
      begin(open, now);
    } else {
      reconnect(0);
    }
  }

  /** A connection's addresses: home's and the client's. */
  public record Addresses(InetSocketAddress own, InetSocketAddress peer) {}

  /** Those of a connection; null where it is not known, or has none any more. */
  public Addresses addresses(String name) throws IOException {
    Park.Parked parked = park.get(name);
    SocketAddressBytes peer = parked == null ? null : Inet.peerAddress(parked.fd());
    return peer == null
        ? null
        : new Addresses(Inet.localAddress(parked.fd()).toInet(), peer.toInet());
  }

  /** Connections that are relayed, or wait to be. */
  public synchronized int held() {
    return overs.size();
  }

  private void begin(Carrier carrier, int to) {
    HomeSession next = new HomeSession(this, migration, carrier);
    onLoop(next.loop(), () -> join(next, to));
    carrier.onClosed(() -> lost(next, to));
  }

  private void join(HomeSession next, int to) {
    List<Park.Parked> connections;
    Set<String> fresh = new HashSet<>();
    synchronized (this) {
      if (!isRunning(to)) {
        return;
      }
      // From here on accepted() adds to it, on this same loop, after what is joined now.
      session = next;
      connections = park.all().stream().filter(parked -> !parked.listening()).toList();
      connections.stream().map(Park.Parked::name).filter(streamed::add).forEach(fresh::add);
    }
    next.open(connections, fresh);
  }

  private void accepted(Park.Parked parked) {
    counters.accepted.increment();
    register(parked.name());
    felt.accepted(parked.name(), parked.fd());
    HomeSession current;
    synchronized (this) {
      current = session;
    }
    if (current != null) {
      current.loop().execute(() -> add(current, parked));
    } // else the next one takes it
  }

  private void add(HomeSession current, Park.Parked parked) {
    boolean fresh;
    synchronized (this) {
      if (session != current || park.get(parked.name()) == null) {
        return;
      }
      fresh = streamed.add(parked.name());
    }
    current.add(parked, fresh);
  }

  private void lost(HomeSession last, int to) {
    last.detach();
    synchronized (this) {
      if (session == last) {
        session = null;
      }
      if (!last.wasTurnedAway()) {
        turnedAway = null;
      }
      if (state != State.RUNNING) {
        drained.complete(null);
        return;
      }
      if (!isRunning(to)) {
        return;
      }
    }
    if (last.wasTurnedAway()) {
      reconnect(TURNED_AWAY_MILLIS);
    } else {
      log.info("{}: the carrier to {} is lost", migration, last.carrier().peerName());
      reconnect(last.ageMillis() < RETRY_MILLIS ? RETRY_MILLIS : 0);
    }
  }

  /** Told once, however often it is tried. */
  void turnedAway(String answer) {
    synchronized (this) {
      if (answer.equals(turnedAway)) {
        return;
      }
      turnedAway = answer;
    }
    log.warn("{}: its connections wait, the destination does not take them: {}", migration, answer);
  }

  private synchronized boolean isTurnedAway() {
    return turnedAway != null;
  }

  /** After a pause where a carrier was lost as soon as it was made: that must not make us spin. */
  private void reconnect(long pauseMillis) {
    int to;
    synchronized (this) {
      to = course;
    }
    Thread thread = new Thread(() -> keepTrying(pauseMillis, to), "relay-" + migration);
    thread.setDaemon(true);
    thread.start();
  }

  private void keepTrying(long pauseMillis, int to) {
    try {
      Thread.sleep(pauseMillis);
      while (isRunning(to)) {
        try {
          Carrier carrier = connector.connect();
          begin(carrier, to);
          if (!isRunning(to)) {
            carrier.close();
          }
          if (!isTurnedAway()) {
            log.info("{}: relays again", migration);
          }
          return;
        } catch (IOException e) {
          log.debug("{}: no carrier yet: {}", migration, e.getMessage());
        } catch (RuntimeException e) {
          log.error("{}: cannot relay, trying again", migration, e);
        }
        Thread.sleep(RETRY_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized boolean isRunning(int to) {
    return state == State.RUNNING && !paused && to == course;
  }

  RelayCounters counters() {
    return counters;
  }

  /** A connection is reset that the destination does not have. */
  void wasReset(String name) {
    counters.resets.increment();
    felt.wasReset(name);
  }

  /** The connection is over; done once that is certain, whatever happens to this agent. */
  CompletableFuture<Void> forget(String name) {
    felt.ended(name);
    CompletableFuture<Void> dropped = park.drop(name);
    CompletableFuture<Void> over;
    boolean last;
    synchronized (this) {
      over = overs.remove(name);
      streamed.remove(name);
      last = state == State.ENDED && overs.isEmpty();
    }
    if (over != null) {
      counters.closed.increment();
      dropped.thenRun(() -> over.complete(null));
    }
    if (last) {
      drained.complete(null);
    }
    return dropped;
  }

  /**
   * Completes when the named connection is over: what was received for it has all been acknowledged
   * to the destination, and both directions have ended, or it was reset. At once where it is not
   * known (any more).
   */
  public synchronized CompletableFuture<Void> over(String name) {
    return overs.getOrDefault(name, CompletableFuture.completedFuture(null)).copy();
  }

  /** What the client of that connection feels of the latest move; null where it came after it. */
  FeltConnection felt(String name) {
    return felt.get(name);
  }

  /** What all clients felt of the latest move. */
  public Felt felt() {
    return felt.felt();
  }

  /** What was done so far. */
  public RelayStats stats() {
    return counters.home();
  }

  /**
   * Ends the relay after the process has ended: no more connections are accepted; those that exist
   * may finish what is in flight, and what has not finished after the grace is reset.
   */
  public void close(Duration grace) {
    HomeSession last;
    abandon();
    synchronized (this) {
      if (state == State.ENDED) {
        return;
      }
      state = State.ENDED;
      last = session;
      session = null;
      if (overs.isEmpty() || last == null) {
        drained.complete(null);
      }
    }
    closeListeners();
    awaitDrained(grace);
    if (last != null) {
      last.close();
    }
    park.all().stream().filter(parked -> !parked.listening()).forEach(Splice::end);
    park.quit();
    synchronized (this) {
      overs.values().forEach(over -> over.complete(null));
      overs.clear();
    }
  }

  private void closeListeners() {
    for (Park.Parked parked : park.all()) {
      if (parked.listening()) {
        try {
          Inet.shutdown(parked.fd(), Inet.SHUT_RDWR);
        } catch (IOException e) {
          log.warn("cannot end a listening socket: {}", e.getMessage());
        }
      }
    }
  }

  private void awaitDrained(Duration grace) {
    try {
      drained.get(grace.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      log.info("{}: {} connections did not finish in {}", migration, counters.open(), grace);
    } catch (ExecutionException e) {
      throw new IllegalStateException("cannot happen: never completed exceptionally", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Resets all connections, ends all listeners. Before {@link #start} it is {@link #abandon}
   * instead.
   */
  @Override
  public void close() {
    close(Duration.ZERO);
  }

  /**
   * Before {@link #start}: gives the descriptors up and leaves the sockets as they are, for the
   * thawed process. After it: does nothing.
   */
  public void abandon() {
    synchronized (this) {
      if (state != State.HOLDING) {
        return;
      }
      state = State.ENDED;
    }
    felt.end();
    park.quit();
  }

  private static void onLoop(EventLoop loop, Runnable task) {
    if (loop.inEventLoop()) {
      task.run();
    } else {
      loop.submit(task).syncUninterruptibly();
    }
  }
}
