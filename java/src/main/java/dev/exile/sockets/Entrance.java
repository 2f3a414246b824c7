package dev.exile.sockets;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoEventLoop;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The loopback listeners of a destination's relay, to which the restored process's own sockets are
 * connected: whoever connects is known by the address that it comes from.
 *
 * <p>Whoever else on this host connects is closed after {@link #STRANGER_MILLIS}. Thread-safe.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class Entrance implements AutoCloseable {
  /** How long an accepted connection may stay unannounced, in milliseconds. */
  static final long STRANGER_MILLIS = 10_000;

  private static final Logger log = LoggerFactory.getLogger(Entrance.class);
  private static final int BACKLOG = 4096;

  private final String migration;
  private final IoEventLoop loop;
  private final BiConsumer<String, Integer> entered;
  private final Map<InetSocketAddress, TcpListener> doors = new HashMap<>();
  private final Map<InetSocketAddress, String> announced = new HashMap<>();
  private final Map<InetSocketAddress, Socket> strangers = new HashMap<>();
  private boolean sealed;

  /**
   * Opens the listeners.
   *
   * @param migration its id, for the log
   * @param entered told the name and the descriptor of each connection that was announced
   * @throws IOException if not even an IPv4 listener can be opened
   */
  Entrance(String migration, EventLoopGroup group, BiConsumer<String, Integer> entered)
      throws IOException {
    this.migration = migration;
    this.entered = entered;
    this.loop = (IoEventLoop) group.next();
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
    TcpListener listener = new TcpListener(socket, loop, this::accepted);
    doors.put(socket.localAddress(), listener);
    loop.submit(
            () -> {
              listener.open();
              return null;
            })
        .syncUninterruptibly();
  }

  /** Where sockets of that family are to be connected; empty if this host has no {@code ::1}. */
  synchronized Optional<InetSocketAddress> address(boolean ipv6) {
    return doors.keySet().stream()
        .filter(address -> (address.getAddress() instanceof Inet6Address) == ipv6)
        .findFirst();
  }

  /** The connection that comes from that address has this name. */
  void announce(String name, InetSocketAddress from) {
    InetSocketAddress address = plain(from);
    Socket waiting;
    synchronized (this) {
      waiting = strangers.remove(address);
      if (waiting == null) {
        announced.put(address, name);
      }
    }
    if (waiting != null) {
      entered.accept(name, waiting.intValue());
    }
  }

  private void accepted(Socket socket) {
    InetSocketAddress from = plain(socket.remoteAddress());
    String name;
    synchronized (this) {
      name = announced.remove(from);
      if (name == null && !sealed) {
        strangers.put(from, socket);
        loop.schedule(() -> closeIfStranger(from, socket), STRANGER_MILLIS, TimeUnit.MILLISECONDS);
        return;
      }
    }
    if (name == null) {
      closeStranger(from, socket);
    } else {
      entered.accept(name, socket.intValue());
    }
  }

  private void closeIfStranger(InetSocketAddress from, Socket socket) {
    boolean stranger;
    synchronized (this) {
      stranger = strangers.remove(from, socket);
    }
    if (stranger) {
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

  /** Nobody is announced from here on: who is not by now is a stranger, and is closed. */
  synchronized void seal() {
    sealed = true;
    strangers.forEach(this::closeStranger);
    strangers.clear();
  }

  @Override
  public void close() {
    seal();
    Map<InetSocketAddress, TcpListener> open;
    synchronized (this) {
      open = Map.copyOf(doors);
      doors.clear();
    }
    open.values().forEach(door -> loop.submit(door::close).syncUninterruptibly());
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
