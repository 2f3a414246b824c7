package dev.exile.linux;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;

/**
 * Reads a TCP socket's queue from an offset on and leaves all of it there. Linux can do that by
 * itself (SO_PEEK_OFF) for TCP since 6.9 only; here what lies before the offset is copied into a
 * small piece of memory that is written over and over, and so stays in the processor's cache.
 *
 * <p>Not thread-safe; made once and used for any number of sockets.
 */
public final class PeekVector {
  private static final int SCRATCH = 16 << 10;

  /** Of an iovec; what is peeked over is never more than {@link #MAX_SKIP}. */
  private static final int ENTRIES = 514;

  /** The largest offset, in bytes. */
  public static final long MAX_SKIP = (ENTRIES - 2L) * SCRATCH;

  private static final int IOVEC_BYTES = 16;
  private static final int MSGHDR_BYTES = 56;
  private static final int MSG_IOV = 16;
  private static final int MSG_IOVLEN = 24;
  private static final int MSG_PEEK = 2;
  private static final int MSG_DONTWAIT = 0x40;

  private final Memory memory = new Memory(MSGHDR_BYTES + (long) ENTRIES * IOVEC_BYTES);
  private final Memory scratch = new Memory(SCRATCH);
  private final long header = address(memory);

  /** A vector with its memory. */
  public PeekVector() {
    memory.clear();
    memory.setLong(MSG_IOV, header + MSGHDR_BYTES);
    for (int i = 0; i < ENTRIES; i++) {
      entry(i, address(scratch), SCRATCH);
    }
  }

  private static long address(Memory memory) {
    return Pointer.nativeValue(memory);
  }

  private void entry(int index, long base, long length) {
    long at = MSGHDR_BYTES + (long) index * IOVEC_BYTES;
    memory.setLong(at, base);
    memory.setLong(at + Long.BYTES, length);
  }

  /**
   * Copies what the socket holds from an offset on; never waits.
   *
   * @param skip the offset, at most {@link #MAX_SKIP}
   * @param address where it is copied to
   * @param length how much at most
   * @return bytes copied; 0 where there is nothing at the offset, for now or for ever; else a
   *     negative errno, which may have been taken from the socket
   */
  public int peek(int fd, long skip, long address, int length) {
    long got;
    do {
      got = skip == 0 ? plain(fd, address, length) : skipping(fd, skip, address, length);
    } while (got == -Errno.EINTR);
    if (got < 0) {
      return got == -Errno.EAGAIN ? 0 : (int) got;
    }
    return (int) Math.max(0, got - skip);
  }

  private static long plain(int fd, long address, int length) {
    return orErrno(LibC.recv(fd, address, length, MSG_PEEK | MSG_DONTWAIT));
  }

  private long skipping(int fd, long skip, long address, int length) {
    int whole = (int) (skip / SCRATCH);
    entry(0, address(scratch), skip % SCRATCH);
    entry(whole + 1, address, length);
    memory.setLong(MSG_IOVLEN, whole + 2L);
    try {
      return orErrno(LibC.recvmsg(fd, header, MSG_PEEK | MSG_DONTWAIT));
    } finally {
      entry(whole + 1, address(scratch), SCRATCH);
    }
  }

  private static long orErrno(long result) {
    return result < 0 ? -Native.getLastError() : result;
  }
}
