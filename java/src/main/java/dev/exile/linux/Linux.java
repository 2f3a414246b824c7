package dev.exile.linux;

import com.sun.jna.LastErrorException;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The few system calls on processes and descriptors that the JDK does not offer. A failure is an
 * {@link Errno} that names the call. Descriptors are plain ints: whoever got one closes it.
 */
public final class Linux {
  private static final Logger LOG = LoggerFactory.getLogger(Linux.class);
  private static final long SYS_PIDFD_SEND_SIGNAL = 424;
  private static final long SYS_PIDFD_OPEN = 434;
  private static final long SYS_PIDFD_GETFD = 438;
  private static final int F_DUPFD_CLOEXEC = 1030;
  private static final int O_CLOEXEC = 02000000;
  private static final int OWNER_ONLY = 0600;

  private Linux() {}

  /**
   * Opens a pidfd, see pidfd_open(2).
   *
   * @param pid a process as this process's PID namespace numbers it
   * @return a descriptor that refers to that very process even after its PID has been reused
   * @throws Errno where there is no such process
   */
  public static int pidfdOpen(int pid) throws Errno {
    try {
      return (int) LibC.syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0);
    } catch (LastErrorException e) {
      throw new Errno("pidfd_open of process " + pid, e);
    }
  }

  /**
   * Sends a signal, see pidfd_send_signal(2): the receiver sees it as from kill(2), from this
   * process.
   *
   * @throws Errno where the process has ended and been reaped
   */
  public static void pidfdSendSignal(int pidfd, int number) throws Errno {
    try {
      LibC.syscall(SYS_PIDFD_SEND_SIGNAL, pidfd, number, 0, 0);
    } catch (LastErrorException e) {
      throw new Errno("pidfd_send_signal of signal " + number, e);
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
      return (int) LibC.syscall(SYS_PIDFD_GETFD, pidfd, fd, 0, 0);
    } catch (LastErrorException e) {
      throw new Errno("pidfd_getfd of descriptor " + fd, e);
    }
  }

  /** Duplicates one of this process's own descriptors, close-on-exec, see fcntl(2). */
  public static int duplicate(int fd) throws Errno {
    try {
      return LibC.fcntl(fd, F_DUPFD_CLOEXEC, 0);
    } catch (LastErrorException e) {
      throw new Errno("fcntl(F_DUPFD_CLOEXEC) of descriptor " + fd, e);
    }
  }

  /** Opens a file, close-on-exec, see open(2). */
  static int open(String path, int flags) throws Errno {
    try {
      return LibC.open(path, flags | O_CLOEXEC);
    } catch (LastErrorException e) {
      throw new Errno("open of " + path, e);
    }
  }

  /** Closes the descriptor; what it refers to lives on while others do. */
  public static void close(int fd) throws Errno {
    try {
      LibC.close(fd);
    } catch (LastErrorException e) {
      throw new Errno("close of descriptor " + fd, e);
    }
  }

  /** The same where there is nothing to be done about a failure, which never loses anything. */
  public static void closeQuietly(int fd) {
    try {
      close(fd);
    } catch (Errno e) {
      LOG.warn("{}", e.getMessage());
    }
  }

  /** Makes a FIFO with mode 0600, see mkfifo(3). */
  public static void makeFifo(Path path) throws Errno {
    try {
      LibC.mkfifo(path.toString(), OWNER_ONLY);
    } catch (LastErrorException e) {
      throw new Errno("mkfifo of " + path, e);
    }
  }
}
