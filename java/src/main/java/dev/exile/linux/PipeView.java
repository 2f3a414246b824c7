package dev.exile.linux;

import com.sun.jna.LastErrorException;
import java.nio.file.Path;

/** What a pipe holds that nobody reads or writes meanwhile. */
public final class PipeView {
  private static final int O_RDONLY = 0;
  private static final int O_NONBLOCK = 04000;
  private static final int O_CLOEXEC = 02000000;
  private static final int F_SETPIPE_SZ = 1031;
  private static final int F_GETPIPE_SZ = 1032;
  private static final int SPLICE_F_NONBLOCK = 2;
  private static final long FIONREAD = 0x541B;

  private PipeView() {}

  /**
   * What can be read from it; it stays there.
   *
   * @param end leads to either of its ends, below /proc
   */
  public static byte[] unread(Path end) throws Errno {
    int fd = open(end);
    int[] copy = new int[2];
    try {
      LibC.pipe2(copy, O_CLOEXEC);
      try {
        return copy(fd, copy);
      } finally {
        Linux.closeQuietly(copy[0]);
        Linux.closeQuietly(copy[1]);
      }
    } catch (LastErrorException e) {
      throw new Errno("looking into the pipe at " + end, e);
    } finally {
      Linux.closeQuietly(fd);
    }
  }

  /** Not blocking: it reads, whichever end of the pipe that is. */
  private static int open(Path end) throws Errno {
    try {
      return LibC.open(end.toString(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    } catch (LastErrorException e) {
      throw new Errno("open of " + end, e);
    }
  }

  private static byte[] copy(int fd, int[] copy) throws Errno {
    int[] length = new int[1];
    LibC.ioctl(fd, FIONREAD, length);
    byte[] bytes = new byte[length[0]];
    if (bytes.length == 0) {
      return bytes;
    }
    // Room is counted in pieces, of which each may be small: as many of them.
    LibC.fcntl(copy[1], F_SETPIPE_SZ, LibC.fcntl(fd, F_GETPIPE_SZ, 0));
    long seen = LibC.tee(fd, copy[1], bytes.length, SPLICE_F_NONBLOCK);
    int got = 0;
    while (got < seen) {
      byte[] rest = new byte[(int) seen - got];
      int n = (int) LibC.read(copy[0], rest, rest.length);
      if (n <= 0) {
        break;
      }
      System.arraycopy(rest, 0, bytes, got, n);
      got += n;
    }
    if (got != bytes.length) {
      throw new Errno(
          "tee of %d bytes in a pipe, of which %d are seen".formatted(bytes.length, got),
          Errno.EAGAIN);
    }
    return bytes;
  }
}
