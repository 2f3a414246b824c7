package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Native;
import com.sun.jna.Platform;
import java.io.IOException;

/**
 * The few calls on TCP descriptors for which neither the JDK nor Netty has a method, because both
 * think that a descriptor is the only reference to its socket. Home's descriptors are duplicates:
 * closing one says nothing to the peer.
 *
 * <p>Every method throws an {@link IOException} that names the call, the descriptor and errno.
 */
public final class Inet {
  /** {@code shutdown}: no more writing, the peer gets a FIN. */
  public static final int SHUT_WR = 1;

  /** {@code shutdown}: neither reading nor writing; on a listener: no more connections. */
  public static final int SHUT_RDWR = 2;

  private static final int F_GETFL = 3;
  private static final int F_SETFL = 4;
  private static final int O_NONBLOCK = 0x800;
  private static final int SOL_SOCKET = 1;
  private static final int SO_ERROR = 4;
  private static final int SO_RCVLOWAT = 18;
  private static final int IPPROTO_TCP = 6;
  private static final int TCP_NODELAY = 1;
  private static final int TCP_CORK = 3;
  private static final int ENOTCONN = 107;

  /**
   * A sockaddr whose family is AF_UNSPEC: connecting to it dissolves the association, see
   * connect(2).
   */
  private static final byte[] AF_UNSPEC = new byte[16];

  private Inet() {}

  /**
   * Shuts down one or both directions of the socket, for all descriptors that refer to it.
   *
   * @return false if it was not connected (any more), so that there was nothing to shut down
   */
  public static boolean shutdown(int fd, int how) throws IOException {
    try {
      Libc.shutdown(fd, how);
      return true;
    } catch (LastErrorException e) {
      if (e.getErrorCode() == ENOTCONN) {
        return false;
      }
      throw failed("shutdown", fd, e);
    }
  }

  /**
   * Resets the connection: the peer gets a RST, both queues are dropped, other descriptors see it
   * closed.
   */
  public static void disconnect(int fd) throws IOException {
    try {
      Libc.connect(fd, AF_UNSPEC, AF_UNSPEC.length);
    } catch (LastErrorException e) {
      throw failed("connect(AF_UNSPEC)", fd, e);
    }
  }

  /** Sets O_NONBLOCK; the flag lives in the open file, so every duplicate has it too. */
  public static void setNonBlocking(int fd) throws IOException {
    try {
      int flags = Libc.fcntl(fd, F_GETFL, 0);
      if ((flags & O_NONBLOCK) == 0) {
        Libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK);
      }
    } catch (LastErrorException e) {
      throw failed("fcntl", fd, e);
    }
  }

  /**
   * Undoes what a process may have set on its socket that would make a relay wait: a low-water mark
   * for reading, a cork, Nagle's algorithm.
   */
  public static void deliverAtOnce(int fd) throws IOException {
    set(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
    set(fd, IPPROTO_TCP, TCP_CORK, 0);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  }

  /**
   * Reads and clears the socket's pending error.
   *
   * @return an errno, 0 if there is none
   */
  public static int takeError(int fd) throws IOException {
    int[] value = new int[1];
    try {
      Libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, value, new int[] {Integer.BYTES});
    } catch (LastErrorException e) {
      throw failed("getsockopt(SO_ERROR)", fd, e);
    }
    return value[0];
  }

  /** Closes the descriptor; what it refers to lives on while others do. */
  public static void close(int fd) throws IOException {
    try {
      Libc.close(fd);
    } catch (LastErrorException e) {
      throw failed("close", fd, e);
    }
  }

  private static void set(int fd, int level, int name, int value) throws IOException {
    try {
      Libc.setsockopt(fd, level, name, new int[] {value}, Integer.BYTES);
    } catch (LastErrorException e) {
      throw failed("setsockopt(" + level + ", " + name + ")", fd, e);
    }
  }

  private static IOException failed(String call, int fd, LastErrorException e) {
    return new IOException(call + " on descriptor " + fd + " failed: errno " + e.getErrorCode(), e);
  }

  /** The C library's functions, mapped directly by JNA. */
  private static final class Libc {
    static {
      Native.register(Libc.class, Platform.C_LIBRARY_NAME);
    }

    private Libc() {}

    static native int shutdown(int fd, int how) throws LastErrorException;

    static native int connect(int fd, byte[] address, int length) throws LastErrorException;

    static native int fcntl(int fd, int command, int argument) throws LastErrorException;

    static native int close(int fd) throws LastErrorException;

    static native int getsockopt(int fd, int level, int name, int[] value, int[] length)
        throws LastErrorException;

    static native int setsockopt(int fd, int level, int name, int[] value, int length)
        throws LastErrorException;
  }
}
