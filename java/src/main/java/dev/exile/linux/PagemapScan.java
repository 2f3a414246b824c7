package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Looks through page tables by the ioctl PAGEMAP_SCAN (Linux 6.7, see
 * Documentation/admin-guide/mm/pagemap.rst), and page by page where the kernel has none. The
 * process may run or stand. One thread at a time.
 */
public final class PagemapScan implements Closeable {
  /** The page, or what is to come out of the swap, is not what it was when it was protected. */
  public static final long WRITTEN = 1 << 1;

  /** In an entry: it was written, or came to its place, since the process's bits were cleared. */
  public static final long SOFT_DIRTY = 1L << 55;

  /** In an entry: which page of the machine, or of the swap, it is; 0 where we may not know. */
  public static final long FRAME = SOFT_DIRTY - 1;

  /** In an entry: it is in the swap. */
  public static final long IN_SWAP = 1L << 62;

  private static final int PAGE = 4096;

  private static final long PRESENT = 1 << 3;
  private static final long SWAPPED = 1 << 4;
  private static final long ZERO = 1 << 5;

  /** MADV_GUARD_INSTALL's: cannot be read, and hold nothing. Linux 6.15. */
  private static final long GUARD = 1 << 8;

  private static volatile boolean knowsGuards = true;
  private static final long FLAG_PROTECT = 1;
  private static final long FLAG_CHECK = 1 << 1;
  private static final long IOCTL = 0xC0606610L;
  private static final int ARGUMENT_BYTES = 96;
  private static final int REGION_BYTES = 24;
  private static final int REGIONS = 4096;

  private final int fd;
  private final boolean scans;
  private final Pagemap pagemap;
  private final Memory argument = new Memory(ARGUMENT_BYTES);
  private final Memory regions = new Memory((long) REGIONS * REGION_BYTES);

  /** Is told ranges of addresses, in order. */
  @FunctionalInterface
  public interface Found {
    /** From this address on, up to that. */
    void range(long start, long end);
  }

  /** Is told pages, in order. */
  @FunctionalInterface
  public interface Told {
    /** A page's address, and its entry: see {@link #SOFT_DIRTY}. */
    void page(long address, long entry);
  }

  private PagemapScan(int fd, Pagemap pagemap) throws Errno {
    this.fd = fd;
    this.pagemap = pagemap;
    this.scans = canScan();
  }

  /** Opens the page tables of a process. */
  public static PagemapScan of(int pid) throws IOException {
    Pagemap pagemap = Pagemap.of(pid);
    int fd = -1;
    try {
      fd = Linux.open("/proc/" + pid + "/pagemap", 0);
      return new PagemapScan(fd, pagemap);
    } catch (IOException e) {
      if (fd >= 0) {
        Linux.closeQuietly(fd);
      }
      pagemap.close();
      throw e;
    }
  }

  private boolean canScan() throws Errno {
    try {
      scan(0, PAGE, 0, 0, (start, end) -> {});
      return true;
    } catch (Errno e) {
      if (e.number() == Errno.ENOTTY) {
        return false;
      }
      throw e;
    }
  }

  /** Whether this kernel has the ioctl: only then it can be asked for what was written. */
  public boolean scans() {
    return scans;
  }

  /**
   * Pages that hold something: in memory or in the swap. Not the kernel's page of zeros, where that
   * can be told apart.
   */
  public void populated(long start, long end, Found found) throws IOException {
    if (scans) {
      scan(start, end, 0, 0, found);
    } else {
      pagemap.populated(start, end, (page, entry) -> found.range(page, page + PAGE));
    }
  }

  /** The same, page by page, each with what the kernel tells of it. */
  public void entries(long start, long end, Told told) throws IOException {
    List<long[]> ranges = new ArrayList<>();
    if (scans) { // skips what holds nothing
      scan(start, end, 0, 0, (from, to) -> ranges.add(new long[] {from, to}));
    } else {
      ranges.add(new long[] {start, end});
    }
    for (long[] range : ranges) {
      pagemap.populated(range[0], range[1], told);
    }
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
    try {
      scan(start, end, flags, all, knowsGuards ? ZERO | GUARD : ZERO, found);
    } catch (Errno e) {
      if (e.number() != Errno.EINVAL || !knowsGuards) {
        throw e;
      }
      scan(start, end, flags, all, ZERO, found);
      knowsGuards = false;
    }
  }

  private void scan(long start, long end, long flags, long all, long none, Found found)
      throws Errno {
    long at = start;
    while (at < end) {
      argument.clear();
      put(0, ARGUMENT_BYTES);
      put(1, flags);
      put(2, at);
      put(3, end);
      put(5, Pointer.nativeValue(regions));
      put(6, REGIONS);
      put(8, none); // inverted: the zero page is of no interest
      put(9, none | all);
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
    try (pagemap) {
      Linux.close(fd);
    }
  }
}
