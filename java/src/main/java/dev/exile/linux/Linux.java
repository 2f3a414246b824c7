package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.IntByReference;
import java.io.IOException;
import java.nio.file.Path;

/**
 * The few system calls that the JDK does not offer, each as one method with Java's error
 * convention: a failure is an {@link Errno} that names the call.
 *
 * <p>Descriptors are plain ints here: they are owned by whoever called, who closes them.
 */
public final class Linux {
  /** {@code EBADF}: the target has no such descriptor (any more). */
  public static final int EBADF = 9;

  /** {@code ESRCH}: no such process. */
  public static final int ESRCH = 3;

  private static final int ENOTCONN = 107;
  private static final int EINPROGRESS = 115;
  private static final long SYS_PIDFD_SEND_SIGNAL = 424;
  private static final long SYS_PIDFD_OPEN = 434;
  private static final long SYS_PIDFD_GETFD = 438;
  private static final short POLLIN = 1;
  private static final short POLLOUT = 4;

  private Linux() {}

  private static final class LibC {
    static {
      Native.register(LibC.class, "c");
    }

    private LibC() {}

    static native long syscall(long number, long a, long b, long c) throws LastErrorException;

    static native long syscall(long number, long a, long b, Pointer c, long d)
        throws LastErrorException;

    static native int close(int fd) throws LastErrorException;

    static native int connect(int fd, byte[] address, int length) throws LastErrorException;

    static native int shutdown(int fd, int how) throws LastErrorException;

    static native int getsockopt(
        int fd, int level, int option, IntByReference value, IntByReference length)
        throws LastErrorException;

    static native int setsockopt(int fd, int level, int option, IntByReference value, int length)
        throws LastErrorException;

    static native int getsockname(int fd, byte[] address, IntByReference length)
        throws LastErrorException;

    static native int getpeername(int fd, byte[] address, IntByReference length)
        throws LastErrorException;

    static native int mkfifo(String path, int mode) throws LastErrorException;

    static native int poll(short[] fds, long count, int timeoutMillis) throws LastErrorException;
  }

  /**
   * Opens a pidfd, see pidfd_open(2).
   *
   * @param pid a process as this process's PID namespace numbers it
   * @return a descriptor that refers to that very process even after its PID has been reused
   * @throws Errno where there is no such process
   */
  public static int pidfdOpen(int pid) throws Errno {
    try {
      return (int) LibC.syscall(SYS_PIDFD_OPEN, pid, 0, 0);
    } catch (LastErrorException e) {
      throw new Errno("pidfd_open of process " + pid, e.getErrorCode());
    }
  }

  /**
   * Duplicates a descriptor of another process, see pidfd_getfd(2). Both then refer to the same
   * open file: flags such as O_NONBLOCK are shared with the other process.
   *
   * @param pidfd the process
   * @param fd the descriptor's number there
   * @return the duplicate, close-on-exec
   */
  public static int pidfdGetFd(int pidfd, int fd) throws Errno {
    try {
      return (int) LibC.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0);
    } catch (LastErrorException e) {
      throw new Errno("pidfd_getfd of descriptor " + fd, e.getErrorCode());
    }
  }

  /** Sends a signal through a pidfd, so never to a process that has reused the PID. */
  public static void pidfdSendSignal(int pidfd, int signal) throws Errno {
    try {
      LibC.syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, signal, Pointer.NULL, 0);
    } catch (LastErrorException e) {
      throw new Errno("pidfd_send_signal of signal " + signal, e.getErrorCode());
    }
  }

  /** True once the process behind the pidfd has ended; waits up to {@code timeoutMillis}. */
  public static boolean pidfdEnded(int pidfd, int timeoutMillis) throws Errno {
    return poll(pidfd, POLLIN, timeoutMillis);
  }

  /** Closes a descriptor; a second close of the same number is the caller's error. */
  public static void close(int fd) {
    try {
      LibC.close(fd);
    } catch (LastErrorException e) {
      throw new IllegalStateException(new Errno("close of descriptor " + fd, e.getErrorCode()));
    }
  }

  /** An integer socket option, see getsockopt(2). */
  public static int getIntOption(int fd, int level, int option) throws Errno {
    IntByReference value = new IntByReference();
    try {
      LibC.getsockopt(fd, level, option, value, new IntByReference(4));
    } catch (LastErrorException e) {
      throw new Errno("getsockopt " + level + "/" + option, e.getErrorCode());
    }
    return value.getValue();
  }

  /** The state of a TCP socket as the kernel numbers it, see tcp(7) on TCP_INFO. */
  public static int tcpState(int fd) throws Errno {
    // tcpi_state is the first byte of struct tcp_info; the kernel cuts the rest off.
    return getIntOption(fd, Sockets.SOL_TCP, Sockets.TCP_INFO) & 0xff;
  }

  /** Sets an integer socket option, see setsockopt(2). */
  public static void setIntOption(int fd, int level, int option, int value) throws Errno {
    try {
      LibC.setsockopt(fd, level, option, new IntByReference(value), 4);
    } catch (LastErrorException e) {
      throw new Errno("setsockopt " + level + "/" + option, e.getErrorCode());
    }
  }

  /** The address that the socket is bound to. */
  public static SocketAddressBytes socketName(int fd) throws Errno {
    byte[] bytes = new byte[SocketAddressBytes.MAX_LENGTH];
    IntByReference length = new IntByReference(bytes.length);
    try {
      LibC.getsockname(fd, bytes, length);
    } catch (LastErrorException e) {
      throw new Errno("getsockname", e.getErrorCode());
    }
    return new SocketAddressBytes(bytes, length.getValue());
  }

  /** The address of the socket's peer, or null where it has none (any more). */
  public static SocketAddressBytes peerNameOrNull(int fd) throws Errno {
    byte[] bytes = new byte[SocketAddressBytes.MAX_LENGTH];
    IntByReference length = new IntByReference(bytes.length);
    try {
      LibC.getpeername(fd, bytes, length);
    } catch (LastErrorException e) {
      if (e.getErrorCode() == ENOTCONN) {
        return null;
      }
      throw new Errno("getpeername", e.getErrorCode());
    }
    return new SocketAddressBytes(bytes, length.getValue());
  }

  /**
   * Connects a socket and waits until it is connected, whether the socket blocks or not.
   *
   * @throws Errno where the connection is refused, or not made within the time
   */
  public static void connect(int fd, SocketAddressBytes address, int timeoutMillis) throws Errno {
    try {
      LibC.connect(fd, address.bytes(), address.length());
      return;
    } catch (LastErrorException e) {
      if (e.getErrorCode() != EINPROGRESS) {
        throw new Errno("connect to " + address, e.getErrorCode());
      }
    }
    if (!poll(fd, POLLOUT, timeoutMillis)) {
      throw new Errno("connect to " + address, Errno.ETIMEDOUT);
    }
    int error = getIntOption(fd, Sockets.SOL_SOCKET, Sockets.SO_ERROR);
    if (error != 0) {
      throw new Errno("connect to " + address, error);
    }
  }

  /**
   * Dissolves a TCP socket's connection, see connect(2) on AF_UNSPEC: the peer gets a reset where
   * there was one, the socket's shutdown state is cleared, and it may be connected anew.
   */
  public static void disconnect(int fd) throws Errno {
    byte[] unspecified = new byte[16];
    try {
      LibC.connect(fd, unspecified, unspecified.length);
    } catch (LastErrorException e) {
      throw new Errno("connect to AF_UNSPEC", e.getErrorCode());
    }
  }

  /** Makes a FIFO with mode 0600, see mkfifo(3). */
  public static void makeFifo(Path path) throws Errno {
    try {
      LibC.mkfifo(path.toString(), 0600);
    } catch (LastErrorException e) {
      throw new Errno("mkfifo of " + path, e.getErrorCode());
    }
  }

  /** Ends one or both directions of a socket, see shutdown(2). */
  public static void shutdown(int fd, int how) throws Errno {
    try {
      LibC.shutdown(fd, how);
    } catch (LastErrorException e) {
      throw new Errno("shutdown", e.getErrorCode());
    }
  }

  private static boolean poll(int fd, short events, int timeoutMillis) throws Errno {
    // struct pollfd { int fd; short events; short revents; }, little endian
    short[] pollfd = {(short) fd, (short) (fd >> 16), events, 0};
    try {
      return LibC.poll(pollfd, 1, timeoutMillis) > 0;
    } catch (LastErrorException e) {
      throw new Errno("poll", e.getErrorCode());
    }
  }

  /** A system call that failed. */
  public static final class Errno extends IOException {
    /** {@code ETIMEDOUT}. */
    public static final int ETIMEDOUT = 110;

    private static final long serialVersionUID = 1;

    private final int number;

    Errno(String call, int number) {
      super(call + " failed: " + name(number));
      this.number = number;
    }

    /** The error's number as in errno(3). */
    public int number() {
      return number;
    }

    private static String name(int number) {
      return Strings.strerror(number) + " (errno " + number + ")";
    }

    private static final class Strings {
      static {
        Native.register(Strings.class, "c");
      }

      private Strings() {}

      static native String strerror(int number);
    }
  }
}
