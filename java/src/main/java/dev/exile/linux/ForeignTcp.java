package dev.exile.linux;

import static dev.exile.linux.SocketAddressBytes.AF_INET;
import static dev.exile.linux.SocketAddressBytes.AF_INET6;

import com.sun.jna.LastErrorException;
import java.net.Inet6Address;
import java.net.InetSocketAddress;
import java.util.concurrent.ThreadLocalRandom;

/**
 * TCP sockets with addresses that are not this host's own. Their packets carry a mark, by which a
 * routing rule keeps them on the loopback device; whoever uses this class has made that rule
 * before. Needs CAP_NET_ADMIN.
 *
 * <p>Sockets are bound and joined in the kernel's repair mode (TCP_REPAIR, made for CRIU): there a
 * bound address conflicts with no other socket's, and {@code connect} makes an established
 * connection of given sequence numbers without a word to anybody.
 *
 * <p>Every method throws an {@link Errno} that names the call and the descriptor.
 */
public final class ForeignTcp {
  /** The mark of their packets, and the number of the routing table for them: "EX" and 1. */
  public static final int MARK = 0x45580001;

  private static final int SOL_SOCKET = 1;
  private static final int SO_REUSEADDR = 2;
  private static final int SO_MARK = 36;
  private static final int SO_BINDTOIFINDEX = 62;
  private static final int SOL_IP = 0;
  private static final int IP_TRANSPARENT = 19;
  private static final int SOL_IPV6 = 41;
  private static final int IPV6_TRANSPARENT = 75;

  private static final int TCP_REPAIR = 19;
  private static final int TCP_REPAIR_QUEUE = 20;
  private static final int TCP_QUEUE_SEQ = 21;
  private static final int TCP_REPAIR_OPTIONS = 22;
  private static final int RECV_QUEUE = 1;
  private static final int SEND_QUEUE = 2;

  private static final int OPTION_SEGMENT = 2;
  private static final int OPTION_WINDOW = 3;
  private static final int OPTION_SACK = 4;
  private static final int OPTION_TIMESTAMP = 8;

  /** What the loopback device's MTU of 65,536 leaves beside the headers of IPv6. */
  private static final int SEGMENT_BYTES = 65_476;

  /** Windows of up to 64 MB, in steps of 1 KB. */
  private static final int WINDOW_SHIFT = 10;

  /** What both sides of a joined connection do, as pairs of struct tcp_repair_opt. */
  private static final int[] OPTIONS = {
    OPTION_SEGMENT,
    SEGMENT_BYTES,
    OPTION_WINDOW,
    WINDOW_SHIFT << 16 | WINDOW_SHIFT,
    OPTION_SACK,
    0,
    OPTION_TIMESTAMP,
    0,
  };

  private ForeignTcp() {}

  /**
   * Lets a listener answer at addresses that are not this host's, and on the loopback device. What
   * it accepts inherits that, and the mark where {@code net.ipv4.tcp_fwmark_accept} is set.
   */
  public static void admit(int listener) throws Errno {
    Inet.set(listener, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
    setTransparent(listener, Inet.domain(listener));
  }

  /**
   * Gives a closed socket any address, whoever else has it, unless it has one already. It stays
   * open to others as it was (SO_REUSEADDR), though repair mode forgets that.
   *
   * @param own port 0 for any that is free with that address
   */
  public static void bind(int fd, InetSocketAddress own) throws Errno {
    int family = Inet.domain(fd);
    release(fd, family);
    if (isBound(fd)) {
      return;
    }
    boolean reuse = Inet.get(fd, SOL_SOCKET, SO_REUSEADDR) != 0;
    setRepair(fd, true);
    try {
      bind(fd, bytes(family, own));
    } finally {
      endRepair(fd, reuse);
    }
  }

  /**
   * Makes one connection of two sockets of this network namespace, and gives them their addresses.
   * Nobody else can come between them. Where it fails, the first has its address and may be joined
   * to another one; the second is of no use any more.
   *
   * @param first is closed; where it is bound already, it keeps that address
   * @param own port 0 for any that is free with that address
   * @param second a new socket of the family of its address
   * @param peer port 0 for any that is free with that address
   * @throws Errno with {@link Errno#EADDRNOTAVAIL} where another connection has these addresses
   */
  public static void join(int first, InetSocketAddress own, int second, InetSocketAddress peer)
      throws Errno {
    int family = Inet.domain(first);
    int peerFamily = peer.getAddress() instanceof Inet6Address ? AF_INET6 : AF_INET;
    release(first, family);
    prepare(second, peerFamily);
    boolean reuse = Inet.get(first, SOL_SOCKET, SO_REUSEADDR) != 0;
    boolean bound = isBound(first);
    int sent = ThreadLocalRandom.current().nextInt();
    int received = ThreadLocalRandom.current().nextInt();
    setRepair(first, true);
    try {
      if (!bound) {
        bind(first, bytes(family, own));
      }
      setRepair(second, true);
      bind(second, bytes(peerFamily, peer));
      boolean asAsked = !bound && own.getPort() != 0;
      establish(second, received, sent, bytes(peerFamily, asAsked ? own : name(first)));
      establish(first, sent, received, bytes(family, peer.getPort() == 0 ? name(second) : peer));
    } finally {
      endRepair(first, reuse);
    }
    // Each asks the other for its window as its repair ends, and the other can answer by now.
    endRepair(second, true);
  }

  private static void setRepair(int fd, boolean on) throws Errno {
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_REPAIR, on ? 1 : 0);
  }

  private static void endRepair(int fd, boolean reuse) throws Errno {
    setRepair(fd, false);
    Inet.set(fd, SOL_SOCKET, SO_REUSEADDR, reuse ? 1 : 0);
  }

  private static boolean isBound(int fd) throws Errno {
    return name(fd).getPort() != 0;
  }

  private static InetSocketAddress name(int fd) throws Errno {
    return Inet.localAddress(fd).toInet();
  }

  /**
   * Whether no connection of this network namespace has the same two addresses, so that a socket
   * with the first could be connected to the second.
   *
   * @param probe a new socket, of no other use afterwards than to be closed
   */
  public static boolean isFree(int probe, InetSocketAddress own, InetSocketAddress peer)
      throws Errno {
    int family = Inet.domain(probe);
    prepare(probe, family);
    setRepair(probe, true);
    bind(probe, bytes(family, own));
    try {
      connect(probe, bytes(family, peer));
      return true;
    } catch (Errno e) {
      if (e.number() == Errno.EADDRNOTAVAIL) {
        return false;
      }
      throw e;
    }
  }

  /**
   * Begins to connect a socket whose process waits for its {@code connect}: that call, begun anew,
   * finds it under way, and then done. A joined socket would make it fail with EISCONN.
   */
  public static void startConnecting(int fd, InetSocketAddress peer) throws Errno {
    boolean nonBlocking = Inet.setNonBlocking(fd, true);
    try {
      connect(fd, bytes(Inet.domain(fd), peer));
    } catch (Errno e) {
      if (e.number() != Errno.EINPROGRESS) {
        throw e;
      }
    } finally {
      Inet.setNonBlocking(fd, nonBlocking);
    }
  }

  private static void establish(int fd, int sent, int received, SocketAddressBytes peer)
      throws Errno {
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE);
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_QUEUE_SEQ, sent);
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_REPAIR_QUEUE, RECV_QUEUE);
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_QUEUE_SEQ, received);
    connect(fd, peer);
    try {
      LibC.setsockopt(
          fd, Inet.IPPROTO_TCP, TCP_REPAIR_OPTIONS, OPTIONS, OPTIONS.length * Integer.BYTES);
    } catch (LastErrorException e) {
      throw Inet.failed("setsockopt(TCP_REPAIR_OPTIONS)", fd, e);
    }
  }

  /** Lets a new socket have, and be connected to, addresses of other hosts. */
  public static void prepare(int fd) throws Errno {
    prepare(fd, Inet.domain(fd));
  }

  private static void prepare(int fd, int family) throws Errno {
    Inet.set(fd, SOL_SOCKET, SO_MARK, MARK);
    setTransparent(fd, family);
  }

  /** The same for one that its process may have bound to a device. */
  private static void release(int fd, int family) throws Errno {
    Inet.set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
    prepare(fd, family);
  }

  private static void setTransparent(int fd, int family) throws Errno {
    if (family == AF_INET6) {
      Inet.set(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
    } else {
      Inet.set(fd, SOL_IP, IP_TRANSPARENT, 1);
    }
  }

  private static void bind(int fd, SocketAddressBytes address) throws Errno {
    try {
      LibC.bind(fd, address.bytes(), address.length());
    } catch (LastErrorException e) {
      throw Inet.failed("bind to " + address, fd, e);
    }
  }

  private static void connect(int fd, SocketAddressBytes address) throws Errno {
    try {
      LibC.connect(fd, address.bytes(), address.length());
    } catch (LastErrorException e) {
      throw Inet.failed("connect to " + address, fd, e);
    }
  }

  private static SocketAddressBytes bytes(int family, InetSocketAddress address) {
    return SocketAddressBytes.of(family, address.getAddress(), address.getPort());
  }
}
