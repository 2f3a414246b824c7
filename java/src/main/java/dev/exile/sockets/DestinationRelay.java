package dev.exile.sockets;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoEventLoop;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.Socket;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The destination's half of a migration's relay: joins home's streams to the restored process.
 *
 * <p>A connection that existed at the freeze has three parts that come in any order: home's stream,
 * the connection that the process's own socket makes to our loopback listener, and the word of
 * {@link #attach} which is which. A connection accepted at home since is joined to a new connection
 * to the process's listener.
 *
 * <p>Whoever else on this host connects to the loopback listener is closed after {@link
 * #STRANGER_MILLIS}. Thread-safe.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
public final class DestinationRelay implements AutoCloseable {
  /** How long an accepted connection may stay unannounced, in milliseconds. */
  public static final long STRANGER_MILLIS = 10_000;

  private static final Logger log = LoggerFactory.getLogger(DestinationRelay.class);
  private static final int BACKLOG = 4096;

  private final String migration;
  private final RelayCounters counters = new RelayCounters();
  private final IoEventLoop acceptLoop;
  private final Map<InetAddress, Entrance> entrances = new HashMap<>();
  private final Map<InetSocketAddress, String> announced = new HashMap<>();
  private final Map<InetSocketAddress, Socket> strangers = new HashMap<>();
  private final Map<String, Socket> sockets = new HashMap<>();
  private final Map<String, Splice> streams = new HashMap<>();
  private final Map<String, InetSocketAddress> targets = new HashMap<>();
  private final Map<String, List<Splice>> early = new HashMap<>();
  private final Set<Splice> splices = new HashSet<>();
  private boolean sealed;
  private boolean closed;

  private record Entrance(InetSocketAddress address, TcpListener listener) {}

  /**
   * Opens the loopback listeners.
   *
   * @param migration its id, for the log
   * @param group event loops with epoll
   * @throws IOException if not even an IPv4 listener can be opened
   */
  public DestinationRelay(String migration, EventLoopGroup group) throws IOException {
    this.migration = migration;
    this.acceptLoop = (IoEventLoop) group.next();
    open(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}));
    try {
      byte[] one = new byte[16];
      one[15] = 1;
      open(InetAddress.getByAddress(one));
    } catch (IOException e) {
      log.debug("{}: no IPv6 loopback here: {}", migration, e.toString());
    }
  }

  private void open(InetAddress address) throws IOException {
    Socket socket = LinuxSocket.newSocketStream(address instanceof Inet6Address);
    try {
      socket.bind(new InetSocketAddress(address, 0));
      socket.listen(BACKLOG);
    } catch (IOException e) {
      socket.close();
      throw e;
    }
    TcpListener listener = new TcpListener(socket, acceptLoop, this::accepted);
    entrances.put(address, new Entrance(socket.localAddress(), listener));
    acceptLoop
        .submit(
            () -> {
              listener.open();
              return null;
            })
        .syncUninterruptibly();
  }

  /**
   * Where IPv4 sockets of the process are to be connected; an IPv6 socket uses it as {@code
   * ::ffff:127.0.0.1}.
   */
  public InetSocketAddress entrance4() {
    return entrance(false).orElseThrow();
  }

  /**
   * Where IPv6 sockets of the process are to be connected; empty if this host has no {@code ::1}.
   */
  public Optional<InetSocketAddress> entrance6() {
    return entrance(true);
  }

  private synchronized Optional<InetSocketAddress> entrance(boolean ipv6) {
    return entrances.values().stream()
        .map(Entrance::address)
        .filter(address -> (address.getAddress() instanceof Inet6Address) == ipv6)
        .findFirst();
  }

  /**
   * The process's socket has been connected to an entrance.
   *
   * @param name the socket's name, as home uses it
   * @param processSide the socket's local address
   */
  public synchronized void attach(String name, InetSocketAddress processSide) {
    InetSocketAddress address = plain(processSide);
    Socket waiting = strangers.remove(address);
    if (waiting == null) {
      announced.put(address, name);
    } else {
      pair(name, waiting);
    }
  }

  /**
   * Takes over a connected TCP socket of this host itself, which is relayed as if the process's
   * socket of that name were at its other end. To be called before {@link #seal}.
   *
   * @param name names it within the migration, as home uses it
   * @param fd its descriptor, owned by the relay from now on
   */
  public synchronized void adopt(String name, int fd) {
    pair(name, new Socket(fd));
  }

  /** Everything is attached: whoever is not announced by now is a stranger and is closed. */
  public synchronized void seal() {
    sealed = true;
    strangers.forEach(this::closeStranger);
    strangers.clear();
  }

  /**
   * Tells where connections go that home's listener accepts.
   *
   * @param name the listener's name, as home uses it
   * @param target an address at which the process listens here
   */
  public synchronized void listener(String name, InetSocketAddress target) {
    targets.put(name, target);
    List<Splice> waiting = early.remove(name);
    if (waiting != null) {
      waiting.forEach(splice -> connect(splice, target));
    }
  }

  /** What was done so far. */
  public RelayStats stats() {
    return counters.destination();
  }

  /**
   * The process has ended: no more connections come in, those that exist may deliver what is under
   * way. To be followed by {@link #close}.
   */
  public void drain() {
    List<Entrance> doors;
    synchronized (this) {
      closed = true;
      doors = List.copyOf(entrances.values());
      entrances.clear();
    }
    doors.forEach(door -> acceptLoop.submit(door.listener()::close).syncUninterruptibly());
  }

  /** Resets all connections and closes the entrances. */
  @Override
  public void close() {
    drain();
    List<Splice> open;
    synchronized (this) {
      open = List.copyOf(splices);
      strangers.forEach(this::closeStranger);
      strangers.clear();
      sockets.values().forEach(DestinationRelay::resetUnjoined);
      sockets.clear();
    }
    open.forEach(splice -> splice.loop().execute(splice::reset));
  }

  // Home's streams, on their event loops.

  Splice newSplice(Http2StreamChannel stream, String name) {
    Splice splice = new Splice(stream, name, migration + "/" + name, counters, this::ended);
    synchronized (this) {
      splices.add(splice);
    }
    return splice;
  }

  synchronized void relay(String name, Splice splice) {
    if (closed || streams.putIfAbsent(name, splice) != null) {
      log.warn("{}: a second stream for socket {}, or after the end: refused", migration, name);
      splice.loop().execute(splice::reset);
      return;
    }
    Socket socket = sockets.remove(name);
    if (socket != null) {
      join(splice, socket);
    }
  }

  synchronized void accept(String name, Splice splice) {
    counters.accepted.increment();
    InetSocketAddress target = targets.get(name);
    if (closed) {
      splice.loop().execute(splice::reset);
    } else if (target == null && sealed) {
      log.warn("{}: no listener {} is known: a connection is reset", migration, name);
      splice.loop().execute(splice::reset);
    } else if (target == null) {
      early.computeIfAbsent(name, unused -> new ArrayList<>()).add(splice);
    } else {
      connect(splice, target);
    }
  }

  private synchronized void ended(Splice splice) {
    splices.remove(splice);
    // The name stays taken: a second stream for it would be an error.
  }

  private static void connect(Splice splice, InetSocketAddress target) {
    splice
        .loop()
        .execute(
            () -> {
              boolean ipv6 = target.getAddress() instanceof Inet6Address;
              splice.connect(LinuxSocket.newSocketStream(ipv6), target);
            });
  }

  // The process's sockets, on the event loop of the entrances.

  private synchronized void accepted(Socket socket) {
    InetSocketAddress from = plain(socket.remoteAddress());
    String name = announced.remove(from);
    if (name != null) {
      pair(name, socket);
    } else if (sealed || closed) {
      closeStranger(from, socket);
    } else {
      strangers.put(from, socket);
      acceptLoop.schedule(
          () -> closeIfStranger(from, socket), STRANGER_MILLIS, TimeUnit.MILLISECONDS);
    }
  }

  private void pair(String name, Socket socket) {
    Splice splice = streams.get(name);
    if (splice == null) {
      sockets.put(name, socket);
    } else {
      join(splice, socket);
    }
  }

  private static void join(Splice splice, Socket socket) {
    splice.loop().execute(() -> splice.attach(socket));
  }

  private synchronized void closeIfStranger(InetSocketAddress from, Socket socket) {
    if (strangers.remove(from, socket)) {
      closeStranger(from, socket);
    }
  }

  private void closeStranger(InetSocketAddress from, Socket socket) {
    log.warn("{}: nobody announced the connection from {}: closed", migration, from);
    try {
      socket.close();
    } catch (IOException e) {
      log.warn("cannot close a connection", e);
    }
  }

  private static void resetUnjoined(Socket socket) {
    try {
      socket.setSoLinger(0);
      socket.close();
    } catch (IOException e) {
      log.warn("cannot reset a connection", e);
    }
  }

  /** The address without scope, and an IPv4 address in IPv6's clothes as IPv4. */
  private static InetSocketAddress plain(InetSocketAddress address) {
    try {
      return new InetSocketAddress(
          InetAddress.getByAddress(address.getAddress().getAddress()), address.getPort());
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException("not an IP address: " + address, e);
    }
  }
}
