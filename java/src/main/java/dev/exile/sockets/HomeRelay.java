package dev.exile.sockets;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import io.netty.channel.EventLoop;
import io.netty.channel.IoEventLoop;
import io.netty.channel.unix.Socket;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's half of a migration's relay: its real sockets, joined to a carrier after COMMIT.
 *
 * <p>Before {@link #start} the sockets are only kept: nothing is read, accepted, set or asked, so
 * that a thawed process finds them as it left them. The descriptors belong to this relay from their
 * adoption on. They are duplicates of descriptors that a frozen process holds; ends are therefore
 * told to the peers explicitly (FIN by shutdown, RST by disconnect).
 *
 * <p>When the carrier is lost after {@link #start}, all connections are reset; the listeners are
 * let go as they are, for another relay over another carrier. Thread-safe.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
public final class HomeRelay implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(HomeRelay.class);

  private enum State {
    HOLDING,
    RUNNING,
    ENDED
  }

  private final Carrier carrier;
  private final String migration;
  private final IoEventLoop loop;
  private final RelayCounters counters = new RelayCounters();
  private final CompletableFuture<Void> drained = new CompletableFuture<>();
  private final Map<String, Integer> heldConnections = new LinkedHashMap<>();
  private final Map<String, Integer> heldListeners = new LinkedHashMap<>();
  private final Map<String, CompletableFuture<Void>> overs = new LinkedHashMap<>();
  private State state = State.HOLDING;

  // On the event loop.
  private final Set<Splice> splices = new LinkedHashSet<>();
  private final List<TcpListener> listeners = new ArrayList<>();
  private boolean ending;

  /**
   * @param carrier the open carrier that will take the sockets
   * @param migration the migration's id, as registered at the destination
   */
  public HomeRelay(Carrier carrier, String migration) {
    this.carrier = carrier;
    this.migration = migration;
    this.loop = (IoEventLoop) carrier.channel().eventLoop();
  }

  /**
   * Takes over a connected TCP socket.
   *
   * @param name names the socket within the migration: letters, digits and dashes, at most 64
   * @param fd a duplicate of its descriptor, owned by the relay from now on
   */
  public void adoptConnection(String name, int fd) {
    adopt(heldConnections, name, fd);
    synchronized (overs) {
      overs.put(name, new CompletableFuture<>());
    }
  }

  /**
   * Takes over a listening TCP socket.
   *
   * @param name names the socket within the migration: letters, digits and dashes, at most 64
   * @param fd a duplicate of its descriptor, owned by the relay from now on
   */
  public void adoptListener(String name, int fd) {
    adopt(heldListeners, name, fd);
  }

  private synchronized void adopt(Map<String, Integer> held, String name, int fd) {
    if (state != State.HOLDING) {
      throw new IllegalStateException("relay of " + migration + " has already begun");
    }
    if (held.putIfAbsent(name, fd) != null) {
      throw new IllegalArgumentException("socket " + name + " was already adopted");
    }
  }

  /**
   * COMMIT has been acknowledged: joins all sockets to the carrier and begins to read and accept.
   * Returns when all are joined.
   *
   * @throws IllegalStateException if it was started or ended before
   */
  public void start() {
    synchronized (this) {
      if (state != State.HOLDING) {
        throw new IllegalStateException("relay of " + migration + " has already begun");
      }
      state = State.RUNNING;
    }
    onLoop(this::join);
  }

  private void join() {
    heldConnections.forEach(
        (name, fd) -> {
          CarrierProtocol.Kind kind = CarrierProtocol.Kind.RELAY;
          relay(new CarrierProtocol.Target(kind, migration, name), new Socket(fd));
        });
    heldListeners.forEach(this::listen);
    carrier.closed().thenRun(() -> loop.execute(this::carrierLost));
  }

  private void listen(String name, int fd) {
    CarrierProtocol.Target target =
        new CarrierProtocol.Target(CarrierProtocol.Kind.ACCEPT, migration, name);
    TcpListener listener =
        new TcpListener(
            new Socket(fd),
            loop,
            accepted -> {
              counters.accepted.increment();
              relay(target, accepted);
            });
    listeners.add(listener);
    try {
      listener.open();
    } catch (IOException e) {
      log.error("{}: cannot accept connections any more", target, e);
    }
  }

  private void relay(CarrierProtocol.Target target, Socket socket) {
    Http2Headers headers =
        target
            .headers()
            .set(CarrierProtocol.REMOTE_ADDRESS, CarrierProtocol.address(socket.remoteAddress()))
            .set(CarrierProtocol.LOCAL_ADDRESS, CarrierProtocol.address(socket.localAddress()));
    carrier
        .open(
            headers,
            stream -> {
              Splice splice =
                  new Splice(stream, target.name(), target.toString(), counters, this::ended);
              splices.add(splice);
              stream.pipeline().addLast(new SpliceStreamHandler(splice));
              stream.eventLoop().execute(() -> splice.attach(socket));
            })
        .addListener(
            future -> {
              if (!future.isSuccess()) {
                log.warn(
                    "{}: no stream, the connection is reset: {}",
                    target,
                    future.cause().toString());
                resetUnjoined(socket);
              }
            });
  }

  private void resetUnjoined(Socket socket) {
    counters.resets.increment();
    try {
      Inet.disconnect(socket.intValue());
      socket.close();
    } catch (IOException e) {
      log.warn("cannot reset a connection", e);
    }
  }

  private void ended(Splice splice) {
    splices.remove(splice);
    isOver(splice.socketName());
    if (ending && splices.isEmpty()) {
      drained.complete(null);
    }
  }

  private void carrierLost() {
    if (!splices.isEmpty()) {
      log.warn(
          "{}: carrier to {} lost, {} connections are reset",
          migration,
          carrier.peerName(),
          splices.size());
    }
    // The streams tell their own loss, which resets their sockets. The kernel goes on completing
    // connections into the backlogs; another relay may accept them.
    listeners.forEach(TcpListener::letGo);
    listeners.clear();
  }

  private void closeListeners() {
    listeners.forEach(TcpListener::close);
    listeners.clear();
  }

  /**
   * Completes when the named connection is over: what was received for it has all been acknowledged
   * to the destination, and both directions have ended, or it was reset. At once where it is not
   * known (any more).
   */
  public CompletableFuture<Void> over(String name) {
    synchronized (overs) {
      return overs.getOrDefault(name, CompletableFuture.completedFuture(null)).copy();
    }
  }

  private void isOver(String name) {
    synchronized (overs) {
      CompletableFuture<Void> over = overs.remove(name);
      if (over != null) {
        over.complete(null);
      }
    }
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
    if (!end()) {
      return;
    }
    onLoop(
        () -> {
          closeListeners();
          ending = true;
          if (splices.isEmpty()) {
            drained.complete(null);
          }
        });
    try {
      drained.get(grace.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      log.info("{}: {} connections did not finish in {}", migration, counters.open(), grace);
    } catch (ExecutionException e) {
      throw new IllegalStateException("cannot happen: never completed exceptionally", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    onLoop(() -> List.copyOf(splices).forEach(Splice::reset));
  }

  /**
   * Resets all connections, ends all listeners. Before {@link #start} use {@link #abandon} instead.
   */
  @Override
  public void close() {
    close(Duration.ZERO);
  }

  /** Moves on to ENDED; false if there is nothing more to do. */
  private boolean end() {
    synchronized (this) {
      if (state == State.RUNNING) {
        state = State.ENDED;
        return true;
      }
    }
    abandon();
    return false;
  }

  /**
   * Before {@link #start}: gives the descriptors up and leaves the sockets as they are, for the
   * thawed process. After it: does nothing.
   */
  public synchronized void abandon() {
    if (state != State.HOLDING) {
      return;
    }
    state = State.ENDED;
    heldConnections.values().forEach(HomeRelay::release);
    heldListeners.values().forEach(HomeRelay::release);
  }

  private static void release(int fd) {
    try {
      Linux.close(fd);
    } catch (IOException e) {
      log.warn("cannot give up a descriptor", e);
    }
  }

  private void onLoop(Runnable task) {
    EventLoop target = loop;
    if (target.inEventLoop()) {
      task.run();
    } else {
      target.submit(task).syncUninterruptibly();
    }
  }
}
