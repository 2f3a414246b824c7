package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Native;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Calls on internet sockets for which neither the JDK nor Netty has a method, because both think
 * that a descriptor is the only reference to its socket. Home's descriptors are duplicates: closing
 * one says nothing to the peer.
 *
 * <p>Every method throws an {@link Errno} that names the call and the descriptor.
 */
public final class Inet {
  /** {@code shutdown}: no more writing, the peer gets a FIN. */
  public static final int SHUT_WR = 1;

  /** {@code shutdown}: neither reading nor writing; on a listener: no more connections. */
  public static final int SHUT_RDWR = 2;

  /** {@code IPPROTO_TCP}. */
  public static final int IPPROTO_TCP = 6;

  private static final int F_GETFL = 3;
  private static final int F_SETFL = 4;
  private static final int O_NONBLOCK = 0x800;
  private static final short POLLIN = 1;
  private static final short POLLPRI = 2;
  private static final short POLLOUT = 4;
  private static final short POLLERR = 8;
  private static final long SIOCINQ = 0x541B;
  private static final long SIOCOUTQ = 0x5411;
  private static final int MSG_TRUNC = 0x20;
  private static final int MSG_DONTWAIT = 0x40;

  private static final int SOL_SOCKET = 1;
  private static final int SO_TYPE = 3;
  private static final int SO_ERROR = 4;
  private static final int SO_OOBINLINE = 10;
  private static final int SO_RCVLOWAT = 18;
  private static final int SO_PEERNAME = 28;
  private static final int SO_PROTOCOL = 38;
  private static final int SO_DOMAIN = 39;
  private static final int SOL_IPV6 = 41;
  private static final int IPV6_V6ONLY = 26;
  private static final int TCP_NODELAY = 1;
  private static final int TCP_CORK = 3;
  private static final int TCP_INFO = 11;

  /** As much of struct tcp_info as is used here, and offsets in it. */
  private static final int TCP_INFO_BYTES = 136;

  private static final int TCPI_UNACKED = 24;
  private static final int TCPI_LAST_DATA_SENT = 44;
  private static final int TCPI_LAST_DATA_RECV = 52;
  private static final int TCPI_BYTES_ACKED = 120;
  private static final int TCPI_BYTES_RECEIVED = 128;

  /**
   * A sockaddr whose family is AF_UNSPEC: connecting to it dissolves the association, see
   * connect(2).
   */
  private static final byte[] AF_UNSPEC = new byte[16];

  private Inet() {}

  /** The address family of a socket of any kind, an AF_ number. */
  public static int domain(int fd) throws Errno {
    return get(fd, SOL_SOCKET, SO_DOMAIN);
  }

  /** The type of a socket of any kind, a SOCK_ number. */
  public static int type(int fd) throws Errno {
    return get(fd, SOL_SOCKET, SO_TYPE);
  }

  /** The protocol of a socket of any kind, an IPPROTO_ number. */
  public static int protocol(int fd) throws Errno {
    return get(fd, SOL_SOCKET, SO_PROTOCOL);
  }

  /** Whether an IPv6 socket refuses IPv4. */
  public static boolean ipv6Only(int fd) throws Errno {
    return get(fd, SOL_IPV6, IPV6_V6ONLY) != 0;
  }

  /** The state of a TCP socket as the kernel numbers it, see tcp(7) on TCP_INFO. */
  public static int tcpState(int fd) throws Errno {
    // tcpi_state is the first byte of struct tcp_info; the kernel cuts off what does not fit.
    return get(fd, IPPROTO_TCP, TCP_INFO) & 0xff;
  }

  /**
   * What the kernel tells of a TCP socket, see tcp(7) on TCP_INFO.
   *
   * @param state as the kernel numbers it
   * @param acknowledged how far the peer has acknowledged, in sequence numbers: SYN and FIN count
   * @param received how far the peer's data has arrived in order; its FIN counts
   */
  public record TcpInfo(int state, long acknowledged, long received) {}

  /** Asks for it. */
  public static TcpInfo tcpInfo(int fd) throws Errno {
    byte[] bytes = new byte[TCP_INFO_BYTES];
    try {
      LibC.getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, new int[] {bytes.length});
    } catch (LastErrorException e) {
      throw failed("getsockopt(TCP_INFO)", fd, e);
    }
    ByteBuffer info = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
    return new TcpInfo(
        bytes[0] & 0xff, info.getLong(TCPI_BYTES_ACKED), info.getLong(TCPI_BYTES_RECEIVED));
  }

  /**
   * How long ago a TCP connection has moved data, as precise as the kernel's tick.
   *
   * @param sentMillis since it has last sent any; since the connection was made, where it has not
   * @param receivedMillis since it has last received any; the same
   */
  public record Ages(long sentMillis, long receivedMillis) {}

  /** Asks for it. */
  public static Ages ages(int fd) throws Errno {
    byte[] bytes = new byte[TCP_INFO_BYTES];
    try {
      LibC.getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, new int[] {bytes.length});
    } catch (LastErrorException e) {
      throw failed("getsockopt(TCP_INFO)", fd, e);
    }
    ByteBuffer info = ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder());
    return new Ages(
        Integer.toUnsignedLong(info.getInt(TCPI_LAST_DATA_SENT)),
        Integer.toUnsignedLong(info.getInt(TCPI_LAST_DATA_RECV)));
  }

  /** How many connections a listener holds that nobody has accepted yet. */
  public static int backlog(int fd) throws Errno {
    byte[] bytes = new byte[TCP_INFO_BYTES];
    try {
      LibC.getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, new int[] {bytes.length});
    } catch (LastErrorException e) {
      throw failed("getsockopt(TCP_INFO)", fd, e);
    }
    return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getInt(TCPI_UNACKED);
  }

  /** Bytes written and not yet acknowledged by the peer; its own FIN counts. */
  public static int unacknowledged(int fd) throws Errno {
    return ioctl(fd, SIOCOUTQ, "SIOCOUTQ");
  }

  /** Bytes that wait to be read: where an urgent byte is among them, those before it. */
  public static int unread(int fd) throws Errno {
    return ioctl(fd, SIOCINQ, "SIOCINQ");
  }

  private static int ioctl(int fd, long request, String name) throws Errno {
    int[] value = new int[1];
    try {
      LibC.ioctl(fd, request, value);
    } catch (LastErrorException e) {
      throw failed("ioctl(" + name + ")", fd, e);
    }
    return value[0];
  }

  /**
   * Whether the peer of a closed TCP socket had sent its FIN. Where neither bytes nor a FIN wait,
   * an error of the socket is taken from it.
   */
  public static boolean finReceived(int fd) throws Errno {
    return ReadableHint.of(fd) > unread(fd);
  }

  /** Whether the socket has an error to report; it is not taken from it. */
  public static boolean hasError(int fd) throws Errno {
    return (poll(fd, (short) 0, 0) & POLLERR) != 0;
  }

  /** Whether there is something to read, be it an error. */
  static boolean isReadable(int fd) throws Errno {
    return poll(fd, POLLIN, 0) != 0;
  }

  /** Whether an urgent byte waits to be read. */
  public static boolean hasUrgent(int fd) throws Errno {
    return (poll(fd, POLLPRI, 0) & POLLPRI) != 0;
  }

  /**
   * Whether an urgent byte is read in its place among the others, see tcp(7).
   *
   * @return what was set before
   */
  public static boolean readUrgentInline(int fd, boolean inline) throws Errno {
    boolean before = get(fd, SOL_SOCKET, SO_OOBINLINE) != 0;
    if (before != inline) {
      set(fd, SOL_SOCKET, SO_OOBINLINE, inline ? 1 : 0);
    }
    return before;
  }

  /**
   * Drops bytes from a TCP socket's receive queue without copying them; never waits.
   *
   * @return how many, less than asked for where there are no more
   */
  public static long discard(int fd, long bytes) throws Errno {
    long left = bytes;
    while (left > 0) {
      long dropped = LibC.recv(fd, 0, left, MSG_TRUNC | MSG_DONTWAIT);
      if (dropped < 0 && Native.getLastError() != Errno.EINTR) {
        throw new Errno("recv(MSG_TRUNC) on descriptor " + fd, Native.getLastError());
      }
      if (dropped == 0) {
        break;
      }
      left -= Math.max(0, dropped);
    }
    return bytes - left;
  }

  /** The address that the socket is bound to. */
  public static SocketAddressBytes localAddress(int fd) throws Errno {
    byte[] bytes = new byte[SocketAddressBytes.MAX_LENGTH];
    int[] length = {bytes.length};
    try {
      LibC.getsockname(fd, bytes, length);
    } catch (LastErrorException e) {
      throw failed("getsockname", fd, e);
    }
    return new SocketAddressBytes(bytes, length[0]);
  }

  /** The address of the socket's peer, or null where it has none (any more). */
  public static SocketAddressBytes peerAddress(int fd) throws Errno {
    byte[] bytes = new byte[SocketAddressBytes.MAX_LENGTH];
    int[] length = {bytes.length};
    try {
      LibC.getpeername(fd, bytes, length);
    } catch (LastErrorException e) {
      if (e.getErrorCode() == Errno.ENOTCONN) {
        return null;
      }
      throw failed("getpeername", fd, e);
    }
    return new SocketAddressBytes(bytes, length[0]);
  }

  /**
   * The address that a TCP socket was last connected to, or is being connected to, where it has no
   * peer now.
   */
  public static SocketAddressBytes formerPeerAddress(int fd) throws Errno {
    byte[] bytes = new byte[SocketAddressBytes.MAX_LENGTH];
    // The kernel refuses to be asked for more than the address has.
    int[] length = {SocketAddressBytes.length(domain(fd))};
    try {
      LibC.getsockopt(fd, SOL_SOCKET, SO_PEERNAME, bytes, length);
    } catch (LastErrorException e) {
      if (e.getErrorCode() == Errno.ENOTCONN) {
        return null;
      }
      throw failed("getsockopt(SO_PEERNAME)", fd, e);
    }
    return new SocketAddressBytes(bytes, length[0]);
  }

  /**
   * Connects a socket and waits until it is connected, whether the socket blocks or not.
   *
   * @throws Errno where the connection is refused, or not made within the time
   */
  public static void connect(int fd, SocketAddressBytes address, int timeoutMillis) throws Errno {
    String call = "connect to " + address;
    try {
      LibC.connect(fd, address.bytes(), address.length());
      return;
    } catch (LastErrorException e) {
      if (e.getErrorCode() != Errno.EINPROGRESS) {
        throw failed(call, fd, e);
      }
    }
    if (!becomesWritable(fd, timeoutMillis)) {
      throw new Errno(call, Errno.ETIMEDOUT);
    }
    int error = takeError(fd);
    if (error != 0) {
      throw new Errno(call, error);
    }
  }

  static boolean becomesWritable(int fd, int timeoutMillis) throws Errno {
    return poll(fd, POLLOUT, timeoutMillis) != 0;
  }

  /** The events that are there after at most that time. */
  private static short poll(int fd, short events, int timeoutMillis) throws Errno {
    // struct pollfd { int fd; short events; short revents; }, little endian
    short[] pollfd = {(short) fd, (short) (fd >> 16), events, 0};
    try {
      LibC.poll(pollfd, 1, timeoutMillis);
      return pollfd[3];
    } catch (LastErrorException e) {
      throw failed("poll", fd, e);
    }
  }

  /**
   * Shuts down one or both directions of the socket, for all descriptors that refer to it.
   *
   * @return false if it was not connected (any more), so that there was nothing to shut down
   */
  public static boolean shutdown(int fd, int how) throws Errno {
    try {
      LibC.shutdown(fd, how);
      return true;
    } catch (LastErrorException e) {
      if (e.getErrorCode() == Errno.ENOTCONN) {
        return false;
      }
      throw failed("shutdown", fd, e);
    }
  }

  /**
   * Dissolves a TCP socket's connection: a peer gets a RST, both queues are dropped, other
   * descriptors see it closed. The shutdown state is cleared, and it may be connected anew.
   */
  public static void disconnect(int fd) throws Errno {
    try {
      LibC.connect(fd, AF_UNSPEC, AF_UNSPEC.length);
    } catch (LastErrorException e) {
      throw failed("connect(AF_UNSPEC)", fd, e);
    }
  }

  /** Sets O_NONBLOCK; the flag lives in the open file, so every duplicate has it too. */
  public static void setNonBlocking(int fd) throws Errno {
    setNonBlocking(fd, true);
  }

  /**
   * Sets or clears O_NONBLOCK.
   *
   * @return whether it was set before
   */
  static boolean setNonBlocking(int fd, boolean wanted) throws Errno {
    try {
      int flags = LibC.fcntl(fd, F_GETFL, 0);
      boolean before = (flags & O_NONBLOCK) != 0;
      if (before != wanted) {
        LibC.fcntl(fd, F_SETFL, flags ^ O_NONBLOCK);
      }
      return before;
    } catch (LastErrorException e) {
      throw failed("fcntl", fd, e);
    }
  }

  /**
   * Undoes what a process may have set on its socket that would make a relay wait: a low-water mark
   * for reading, a cork, Nagle's algorithm.
   */
  public static void deliverAtOnce(int fd) throws Errno {
    set(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
    set(fd, IPPROTO_TCP, TCP_CORK, 0);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  }

  /**
   * Reads and clears the socket's pending error.
   *
   * @return an errno, 0 if there is none
   */
  public static int takeError(int fd) throws Errno {
    return get(fd, SOL_SOCKET, SO_ERROR);
  }

  static int get(int fd, int level, int name) throws Errno {
    int[] value = new int[1];
    try {
      LibC.getsockopt(fd, level, name, value, new int[] {Integer.BYTES});
    } catch (LastErrorException e) {
      throw failed("getsockopt(" + level + ", " + name + ")", fd, e);
    }
    return value[0];
  }

  static void set(int fd, int level, int name, int value) throws Errno {
    try {
      LibC.setsockopt(fd, level, name, new int[] {value}, Integer.BYTES);
    } catch (LastErrorException e) {
      throw failed("setsockopt(" + level + ", " + name + ")", fd, e);
    }
  }

  static Errno failed(String call, int fd, LastErrorException e) {
    return new Errno(call + " on descriptor " + fd, e);
  }
}
