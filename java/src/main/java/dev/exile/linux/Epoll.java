package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Platform;
import java.util.function.IntConsumer;

/**
 * An epoll set that tells once of each descriptor that something can be read, see epoll(7), without
 * reading it. For one thread that waits; others may add meanwhile.
 */
public final class Epoll implements AutoCloseable {
  private static final int EPOLL_CLOEXEC = 02000000;
  private static final int EPOLL_CTL_ADD = 1;
  private static final int EPOLLIN = 1;
  private static final int EPOLLONESHOT = 1 << 30;
  private static final int EPOLLET = 1 << 31;
  private static final int EVENTS = 256;

  /** struct epoll_event is packed on x86-64 alone. */
  private static final int DATA = Platform.isIntel() ? 4 : 8;

  private static final int SIZE = DATA + 8;

  private final int fd;
  private final Memory events = new Memory((long) EVENTS * SIZE);

  /** The C library's functions. */
  private static final class Calls {
    static {
      Native.register(Calls.class, Platform.C_LIBRARY_NAME);
    }

    private Calls() {}

    static native int epoll_create1(int flags) throws LastErrorException;

    static native int epoll_ctl(int epoll, int operation, int fd, byte[] event)
        throws LastErrorException;

    static native int epoll_wait(int epoll, Memory events, int most, int millis)
        throws LastErrorException;
  }

  /** An empty set. */
  public Epoll() throws Errno {
    try {
      fd = Calls.epoll_create1(EPOLL_CLOEXEC);
    } catch (LastErrorException e) {
      throw new Errno("epoll_create1", e);
    }
  }

  /**
   * Adds a descriptor; of what can be read already is told, too.
   *
   * @param number what it is told by
   */
  public void add(int watched, int number) throws Errno {
    byte[] event = new byte[SIZE];
    putInt(event, 0, EPOLLIN | EPOLLET | EPOLLONESHOT);
    putInt(event, DATA, number);
    try {
      Calls.epoll_ctl(fd, EPOLL_CTL_ADD, watched, event);
    } catch (LastErrorException e) {
      throw new Errno("epoll_ctl of descriptor " + watched, e);
    }
  }

  private static void putInt(byte[] bytes, int at, int value) {
    java.nio.ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.nativeOrder()).putInt(at, value);
  }

  /**
   * Waits until there is something to tell, for some milliseconds at most.
   *
   * @return how many were told of
   */
  public int await(int millis, IntConsumer told) throws Errno {
    int count;
    try {
      count = Calls.epoll_wait(fd, events, EVENTS, millis);
    } catch (LastErrorException e) {
      if (e.getErrorCode() == Errno.EINTR) {
        return 0;
      }
      throw new Errno("epoll_wait", e);
    }
    for (int i = 0; i < count; i++) {
      told.accept(events.getInt((long) i * SIZE + DATA));
    }
    return count;
  }

  @Override
  public void close() {
    Linux.closeQuietly(fd);
  }
}
