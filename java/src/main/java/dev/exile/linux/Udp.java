package dev.exile.linux;

import com.sun.jna.LastErrorException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;

/** Calls on UDP sockets beyond those of {@link Inet}. A failure is an {@link Errno}. */
public final class Udp {
  /** {@code IPPROTO_UDP}. */
  public static final int IPPROTO_UDP = 17;

  /** {@code SOCK_DGRAM}. */
  public static final int SOCK_DGRAM = 2;

  private static final int SOCK_CLOEXEC = 02000000;
  private static final int SOL_IP = 0;
  private static final int SOL_SOCKET = 1;
  private static final int SOL_IPV6 = 41;
  private static final int SO_REUSEADDR = 2;
  private static final int SO_RCVBUF = 8;
  private static final int SO_RCVBUFFORCE = 33;
  private static final int SO_BINDTODEVICE = 25;
  private static final int SO_PEEK_OFF = 42;
  private static final int IP_PKTINFO = 8;
  private static final int IP_TRANSPARENT = 19;
  private static final int IPV6_RECVPKTINFO = 49;
  private static final int IPV6_TRANSPARENT = 75;
  private static final int IFNAMSIZ = 16;

  private Udp() {}

  /** A new socket of that family. */
  public static int socket(int family) throws Errno {
    try {
      return LibC.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
    } catch (LastErrorException e) {
      throw new Errno("socket(SOCK_DGRAM)", e);
    }
  }

  /** The device that the socket is bound to; empty where it is bound to none. */
  public static String device(int fd) throws Errno {
    byte[] name = new byte[IFNAMSIZ];
    int[] length = {name.length};
    try {
      LibC.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, length);
    } catch (LastErrorException e) {
      throw new Errno("getsockopt(SO_BINDTODEVICE) on descriptor " + fd, e);
    }
    return new String(name, 0, length[0], StandardCharsets.US_ASCII).replace("\0", "");
  }

  /** From now on the socket sends through that device only, and receives what comes by it. */
  public static void bindToDevice(int fd, String device) throws Errno {
    byte[] name = (device + "\0").getBytes(StandardCharsets.US_ASCII);
    try {
      LibC.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
    } catch (LastErrorException e) {
      throw new Errno("setsockopt(SO_BINDTODEVICE, " + device + ") on descriptor " + fd, e);
    }
  }

  /** Lets the socket have addresses that are not this host's, see ip(7) on IP_TRANSPARENT. */
  public static void setTransparent(int fd) throws Errno {
    if (Inet.domain(fd) == SocketAddressBytes.AF_INET6) {
      Inet.set(fd, SOL_IPV6, IPV6_TRANSPARENT, 1);
    } else {
      Inet.set(fd, SOL_IP, IP_TRANSPARENT, 1);
    }
  }

  /**
   * Has the kernel tell with each datagram which of this host's addresses it was sent to, or tell
   * it no more.
   *
   * @return whether it has told so far
   */
  public static boolean tellDestinations(int fd, boolean tell) throws Errno {
    boolean six = Inet.domain(fd) == SocketAddressBytes.AF_INET6;
    int level = six ? SOL_IPV6 : SOL_IP;
    int option = six ? IPV6_RECVPKTINFO : IP_PKTINFO;
    boolean told = Inet.get(fd, level, option) != 0;
    Inet.set(fd, level, option, tell ? 1 : 0);
    return told;
  }

  /**
   * Where in its queue a socket is peeked at, in bytes; it goes on from there with each peek.
   * Datagrams of no bytes are peeked once only. Negative: at the beginning, always.
   *
   * @return where it was so far
   */
  public static int peekFrom(int fd, int offset) throws Errno {
    int before = Inet.get(fd, SOL_SOCKET, SO_PEEK_OFF);
    Inet.set(fd, SOL_SOCKET, SO_PEEK_OFF, offset);
    return before;
  }

  /**
   * Lets a socket be bound to an address that another one has, if that is let, too.
   *
   * @return whether it was so far
   */
  public static boolean shareAddress(int fd, boolean share) throws Errno {
    boolean shared = Inet.get(fd, SOL_SOCKET, SO_REUSEADDR) != 0;
    Inet.set(fd, SOL_SOCKET, SO_REUSEADDR, share ? 1 : 0);
    return shared;
  }

  /**
   * How much room a socket has for datagrams that nobody has read yet, in bytes as the kernel
   * counts: several hundred for the smallest.
   */
  public static int room(int fd) throws Errno {
    return Inet.get(fd, SOL_SOCKET, SO_RCVBUF);
  }

  /** Gives it other room, whatever the limit for users is; see {@link #room}. */
  public static void setRoom(int fd, int bytes) throws Errno {
    Inet.set(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes / 2); // the kernel doubles it
  }

  /**
   * Whether a socket that is bound to a device can have that address and port: others that are
   * bound to other devices are not in its way. The address need not be this host's.
   */
  public static boolean isFree(InetAddress address, int port) throws Errno {
    int family =
        address instanceof Inet4Address ? SocketAddressBytes.AF_INET : SocketAddressBytes.AF_INET6;
    int fd = socket(family);
    try {
      setTransparent(fd);
      bindToDevice(fd, "lo");
      bind(fd, SocketAddressBytes.of(family, address, port));
      return true;
    } catch (Errno e) {
      if (e.number() == Errno.EADDRINUSE) {
        return false;
      }
      throw e;
    } finally {
      Linux.closeQuietly(fd);
    }
  }

  /** Binds a socket to its address. */
  public static void bind(int fd, SocketAddressBytes address) throws Errno {
    try {
      LibC.bind(fd, address.bytes(), address.length());
    } catch (LastErrorException e) {
      throw new Errno("bind to " + address + " on descriptor " + fd, e);
    }
  }
}
