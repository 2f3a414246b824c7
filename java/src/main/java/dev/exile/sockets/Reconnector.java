package dev.exile.sockets;

import dev.exile.linux.Errno;
import dev.exile.linux.ForeignTcp;
import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.Errors;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Gives a restored process its sockets back. CRIU has left each connected one as a closed socket;
 * here the very same kernel object is joined to a socket of the relay, with the addresses that both
 * ends had at home, so that the process's own descriptor, its epoll sets and its blocked calls just
 * work.
 */
public final class Reconnector {
  private static final Logger LOG = LoggerFactory.getLogger(Reconnector.class);
  private static final int MOST_THREADS = 4;

  /** Fewer are not worth another thread. */
  private static final int PER_THREAD = 100;

  /** A handshake over loopback is done before its first call returns. */
  private static final long HANDSHAKE_NANOS = TimeUnit.SECONDS.toNanos(2);

  /** How long a socket that is under way may take once another has failed. */
  private static final long END_SECONDS = 5;

  private final String migration;
  private final ForeignRoutes routes;
  private final LongAdder loopback = new LongAdder();
  private final LongAdder otherPort = new LongAdder();

  /** Takes the relay's end of a connection. */
  @FunctionalInterface
  public interface Relay {
    /**
     * Called by several threads.
     *
     * @param name names the process's socket within the migration
     * @param fd a socket that is connected to it and through which nothing has moved, owned by the
     *     relay from now on
     */
    void attach(String name, int fd) throws IOException;
  }

  /**
   * Where a socket of the process is.
   *
   * @param pid a process that has it and has not been resumed, as this host numbers it
   * @param fd its descriptor there
   */
  public record Place(int pid, int fd) {}

  /**
   * A socket that is to be connected.
   *
   * @param name names it within the migration
   * @param connecting whether the process waits for its {@code connect}
   * @param shutWrite whether the process had already ended its own direction
   * @param own its address at home
   * @param peer its peer's; null where that is not known
   */
  public record Lost(
      String name,
      Place place,
      boolean connecting,
      boolean shutWrite,
      InetSocketAddress own,
      InetSocketAddress peer) {}

  /**
   * @param migration its id, for the log
   * @param routes say which addresses may be borne
   */
  public Reconnector(String migration, ForeignRoutes routes) {
    this.migration = migration;
    this.routes = routes;
  }

  /**
   * Connects them all, some at a time.
   *
   * @throws IOException where one cannot be connected; others may be by then
   */
  public void reconnect(List<Lost> sockets, Relay relay) throws IOException, InterruptedException {
    try (Holders holders = new Holders()) {
      for (Lost socket : sockets) {
        holders.open(socket.place());
      }
      reconnect(holders, sockets, relay);
    }
    tell("loopback addresses", loopback);
    tell("another port of the peer", otherPort);
  }

  /** None of its threads is at it any more when this returns. */
  private void reconnect(Holders holders, List<Lost> sockets, Relay relay)
      throws IOException, InterruptedException {
    int threads = Math.max(1, Math.min(MOST_THREADS, sockets.size() / PER_THREAD));
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      List<Future<?>> parts = new ArrayList<>();
      int each = (sockets.size() + threads - 1) / threads;
      for (int from = 0; from < sockets.size(); from += each) {
        List<Lost> part = sockets.subList(from, Math.min(sockets.size(), from + each));
        parts.add(
            pool.submit(
                () -> {
                  for (Lost one : part) {
                    if (Thread.interrupted()) {
                      throw new InterruptedException("another connection has failed");
                    }
                    reconnect(holders, one, relay);
                  }
                  return null;
                }));
      }
      for (Future<?> part : parts) {
        part.get();
      }
    } catch (ExecutionException e) {
      throw new IOException(e.getCause().getMessage(), e);
    } finally {
      end(pool);
    }
  }

  private void end(ExecutorService pool) {
    pool.shutdownNow();
    try {
      if (!pool.awaitTermination(END_SECONDS, TimeUnit.SECONDS)) {
        LOG.warn("{}: connections are still being made after {} s", migration, END_SECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void tell(String what, LongAdder count) {
    if (count.sum() > 0) {
      LOG.info("{}: {} connections bear {} here", migration, count, what);
    }
  }

  /** Lets listeners answer at addresses that are not this host's. */
  public void admit(List<Place> listeners) throws IOException {
    try (Holders holders = new Holders()) {
      for (Place place : listeners) {
        holders.open(place);
        int socket = holders.take(place);
        try {
          ForeignTcp.admit(socket);
        } finally {
          Linux.close(socket);
        }
      }
    }
  }

  private void reconnect(Holders holders, Lost lost, Relay relay) throws IOException {
    int socket = holders.take(lost.place());
    try {
      Inet.disconnect(socket);
      relay.attach(lost.name(), join(socket, lost));
      if (lost.shutWrite()) {
        Inet.shutdown(socket, Inet.SHUT_WR);
      }
    } finally {
      Linux.close(socket);
    }
  }

  /** Returns the relay's end. */
  private int join(int socket, Lost lost) throws IOException {
    boolean ipv6 = lost.own().getAddress() instanceof Inet6Address;
    InetSocketAddress own = lost.own();
    InetSocketAddress peer = lost.peer();
    if (!routes.allow(own, peer)) {
      LOG.debug("{}: connection {} with {} bears loopback addresses here", migration, own, peer);
      loopback.increment();
      own = new InetSocketAddress(ForeignRoutes.loopback(ipv6), own.getPort());
      peer = new InetSocketAddress(own.getAddress(), 0);
    }
    try {
      return join(socket, lost, own, peer);
    } catch (IOException e) {
      if (!isTaken(e) || peer.getPort() == 0) {
        throw e;
      }
      LOG.debug("{}: connection {} with {} is here already", migration, own, peer);
      otherPort.increment();
      return join(socket, lost, own, new InetSocketAddress(peer.getAddress(), 0));
    }
  }

  private static boolean isTaken(IOException e) {
    if (e instanceof Errno errno) {
      // Its other end is at this host, or has moved here, too.
      return errno.number() == Errno.EADDRNOTAVAIL;
    }
    // Another listener has the port at which the peer's would be, on the wildcard.
    return e instanceof Errors.NativeIoException listening
        && listening.expectedErr() == -Errno.EADDRINUSE;
  }

  private static int join(int socket, Lost lost, InetSocketAddress own, InetSocketAddress peer)
      throws IOException {
    LinuxSocket end = LinuxSocket.newSocketStream(peer.getAddress() instanceof Inet6Address);
    boolean joined = false;
    try {
      if (lost.connecting()) {
        end.setReuseAddress(true);
        ForeignTcp.bind(end.intValue(), peer);
        ForeignTcp.bind(socket, own);
        return accept(socket, end);
      }
      ForeignTcp.join(socket, own, end.intValue(), peer);
      joined = true;
      return end.intValue();
    } finally {
      if (!joined) {
        end.close();
      }
    }
  }

  /** Lets the process's socket connect to the relay's, and nobody else: it is here that it ends. */
  private static int accept(int socket, LinuxSocket listener) throws IOException {
    listener.listen(1);
    ForeignTcp.startConnecting(socket, listener.localAddress());
    long deadline = System.nanoTime() + HANDSHAKE_NANOS;
    while (System.nanoTime() < deadline) {
      int end = listener.accept(new byte[26]);
      if (end >= 0) {
        return end;
      }
      Thread.onSpinWait();
    }
    throw new IOException("a socket cannot be connected to " + listener.localAddress());
  }

  /** The processes that hold the sockets. */
  private static final class Holders implements AutoCloseable {
    private final Map<Integer, Integer> pidfds = new HashMap<>();

    void open(Place place) throws IOException {
      if (!pidfds.containsKey(place.pid())) {
        pidfds.put(place.pid(), Linux.pidfdOpen(place.pid()));
      }
    }

    int take(Place place) throws IOException {
      return Linux.pidfdGetFd(pidfds.get(place.pid()), place.fd());
    }

    @Override
    public void close() {
      pidfds.values().forEach(Linux::closeQuietly);
    }
  }
}
