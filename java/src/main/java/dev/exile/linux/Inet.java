package dev.exile.linux;

import com.sun.jna.LastErrorException;

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
  private static final short POLLOUT = 4;

  private static final int SOL_SOCKET = 1;
  private static final int SO_TYPE = 3;
  private static final int SO_ERROR = 4;
  private static final int SO_RCVLOWAT = 18;
  private static final int SO_PROTOCOL = 38;
  private static final int SO_DOMAIN = 39;
  private static final int SOL_IPV6 = 41;
  private static final int IPV6_V6ONLY = 26;
  private static final int TCP_NODELAY = 1;
  private static final int TCP_CORK = 3;
  private static final int TCP_INFO = 11;

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

  private static boolean becomesWritable(int fd, int timeoutMillis) throws Errno {
    // struct pollfd { int fd; short events; short revents; }, little endian
    short[] pollfd = {(short) fd, (short) (fd >> 16), POLLOUT, 0};
    try {
      return LibC.poll(pollfd, 1, timeoutMillis) > 0;
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
    try {
      int flags = LibC.fcntl(fd, F_GETFL, 0);
      if ((flags & O_NONBLOCK) == 0) {
        LibC.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
      }
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

  private static int get(int fd, int level, int name) throws Errno {
    int[] value = new int[1];
    try {
      LibC.getsockopt(fd, level, name, value, new int[] {Integer.BYTES});
    } catch (LastErrorException e) {
      throw failed("getsockopt(" + level + ", " + name + ")", fd, e);
    }
    return value[0];
  }

  private static void set(int fd, int level, int name, int value) throws Errno {
    try {
      LibC.setsockopt(fd, level, name, new int[] {value}, Integer.BYTES);
    } catch (LastErrorException e) {
      throw failed("setsockopt(" + level + ", " + name + ")", fd, e);
    }
  }

  private static Errno failed(String call, int fd, LastErrorException e) {
    return new Errno(call + " on descriptor " + fd, e);
  }
}
