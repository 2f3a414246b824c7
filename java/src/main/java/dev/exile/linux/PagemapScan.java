package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.io.Closeable;
import java.io.IOException;

/**
 * Looks through page tables by the ioctl PAGEMAP_SCAN (Linux 6.7, see
 * Documentation/admin-guide/mm/pagemap.rst). The process may run or stand. One thread at a time.
 */
public final class PagemapScan implements Closeable {
  /** The page, or what is to come out of the swap, is not what it was when it was protected. */
  public static final long WRITTEN = 1 << 1;

  private static final long PRESENT = 1 << 3;
  private static final long SWAPPED = 1 << 4;
  private static final long ZERO = 1 << 5;
  private static final long FLAG_PROTECT = 1;
  private static final long FLAG_CHECK = 1 << 1;
  private static final long IOCTL = 0xC0606610L;
  private static final int ARGUMENT_BYTES = 96;
  private static final int REGION_BYTES = 24;
  private static final int REGIONS = 4096;

  private final int fd;
  private final Memory argument = new Memory(ARGUMENT_BYTES);
  private final Memory regions = new Memory((long) REGIONS * REGION_BYTES);

  /** Is told ranges of addresses, in order. */
  @FunctionalInterface
  public interface Found {
    /** From this address on, up to that. */
    void range(long start, long end);
  }

  private PagemapScan(int fd) {
    this.fd = fd;
  }

  /** Opens the page tables of a process. */
  public static PagemapScan of(int pid) throws IOException {
    return new PagemapScan(Linux.open("/proc/" + pid + "/pagemap", 0));
  }

  /** Pages that hold something: in memory or in the swap, and not the kernel's page of zeros. */
  public void populated(long start, long end, Found found) throws Errno {
    scan(start, end, 0, 0, found);
  }

  /**
   * Pages written since they were protected, and protects them again, in one step.
   *
   * @return false where a part of it is not registered with a {@link Userfault}
   */
  public boolean writtenAndProtect(long start, long end, Found found) throws Errno {
    return tracked(start, end, FLAG_PROTECT | FLAG_CHECK, found);
  }

  /** The same, without protecting them. */
  public boolean written(long start, long end, Found found) throws Errno {
    return tracked(start, end, FLAG_CHECK, found);
  }

  private boolean tracked(long start, long end, long flags, Found found) throws Errno {
    try {
      scan(start, end, flags, WRITTEN, found);
      return true;
    } catch (Errno e) {
      if (e.number() == Errno.EPERM) {
        return false;
      }
      throw e;
    }
  }

  private void scan(long start, long end, long flags, long all, Found found) throws Errno {
    long at = start;
    while (at < end) {
      argument.clear();
      put(0, ARGUMENT_BYTES);
      put(1, flags);
      put(2, at);
      put(3, end);
      put(5, Pointer.nativeValue(regions));
      put(6, REGIONS);
      put(8, ZERO); // inverted: the zero page is of no interest
      put(9, ZERO | all);
      put(10, PRESENT | SWAPPED);
      put(11, PRESENT);
      int count;
      try {
        count = LibC.ioctl(fd, IOCTL, Pointer.nativeValue(argument));
      } catch (LastErrorException e) {
        throw new Errno("PAGEMAP_SCAN of %x-%x".formatted(at, end), e);
      }
      for (int i = 0; i < count; i++) {
        long offset = (long) i * REGION_BYTES;
        found.range(regions.getLong(offset), regions.getLong(offset + 8));
      }
      long walked = argument.getLong(4 * 8);
      if (walked <= at) {
        return; // nothing is mapped there
      }
      at = walked;
    }
  }

  private void put(int word, long value) {
    argument.setLong(word * 8L, value);
  }

  @Override
  public void close() throws IOException {
    Linux.close(fd);
  }
}
