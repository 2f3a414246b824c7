package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Memory;
import com.sun.jna.Pointer;

/**
 * Asynchronous write protection of another process's memory through its userfaultfd (Linux 6.7, see
 * Documentation/admin-guide/mm/userfaultfd.rst): writes are not held up, only remembered, for
 * {@link PagemapScan} to find.
 */
public final class Userfault implements AutoCloseable {
  private static final long SYS_USERFAULTFD = 323;

  /** O_CLOEXEC and O_NONBLOCK. */
  private static final long FLAGS = 02004000;

  private static final long API = 0xAA;
  private static final long IOCTL_API = 0xC018AA3FL;
  private static final long IOCTL_REGISTER = 0xC020AA00L;
  private static final long IOCTL_WRITE_PROTECT = 0xC018AA06L;
  private static final long FEATURE_WP_UNPOPULATED = 1 << 13;
  private static final long FEATURE_WP_ASYNC = 1 << 15;
  private static final long MODE_WRITE_PROTECT = 1 << 1;

  private final int fd;

  /**
   * @param fd a fresh userfaultfd, owned by this object from now on
   * @throws Errno where the kernel has no asynchronous write protection; it is closed then
   */
  public Userfault(int fd) throws Errno {
    this.fd = fd;
    try (Memory api = new Memory(24)) {
      api.clear();
      api.setLong(0, API);
      api.setLong(8, FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC);
      LibC.ioctl(fd, IOCTL_API, Pointer.nativeValue(api));
    } catch (LastErrorException e) {
      Linux.closeQuietly(fd);
      throw new Errno("UFFDIO_API with asynchronous write protection", e);
    }
  }

  /** Whether this kernel lets us have one, see userfaultfd(2). */
  public static boolean isAvailable() {
    try {
      Linux.closeQuietly((int) LibC.syscall(SYS_USERFAULTFD, FLAGS, 0, 0, 0));
      return true;
    } catch (LastErrorException e) {
      return false;
    }
  }

  /**
   * Watches an area; the first scan of it finds all that is there.
   *
   * <p>That needs a second step. mremap(2) takes the area that it moves, and one beside it that it
   * joins it with, from us without lifting the protection of the latter. A page that was written
   * since is no longer protected, and still looks as if it were, and as if nobody had written it.
   *
   * @return false where the kernel cannot, as of an area that is gone; a part of it may be watched
   *     then all the same, and what is found there is not to be relied on
   */
  public boolean register(long start, long end) {
    return range(IOCTL_REGISTER, start, end, MODE_WRITE_PROTECT)
        && range(IOCTL_WRITE_PROTECT, start, end, 0);
  }

  private boolean range(long request, long start, long end, long mode) {
    try (Memory argument = new Memory(32)) {
      argument.clear();
      argument.setLong(0, start);
      argument.setLong(8, end - start);
      argument.setLong(16, mode);
      LibC.ioctl(fd, request, Pointer.nativeValue(argument));
      return true;
    } catch (LastErrorException e) {
      return false;
    }
  }

  /** Lifts all protection; nothing is left in the process. */
  @Override
  public void close() {
    Linux.closeQuietly(fd);
  }
}
