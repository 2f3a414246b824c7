package dev.exile.linux;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Reads page tables as any kernel shows them: /proc/PID/pagemap, 8 bytes for each page, be there
 * one or not. The process may run or stand. One thread at a time.
 */
final class Pagemap implements Closeable {
  private static final int PAGE = 4096;
  private static final long POPULATED = 3L << 62; // present, or in the swap
  private static final int PAGES = 16_384;

  private final int pid;
  private final FileChannel file;
  private final ByteBuffer entries =
      ByteBuffer.allocateDirect(PAGES * Long.BYTES).order(ByteOrder.nativeOrder());

  private Pagemap(int pid, FileChannel file) {
    this.pid = pid;
    this.file = file;
  }

  /** Opens that of a process. */
  static Pagemap of(int pid) throws IOException {
    Path path = Path.of("/proc/" + pid + "/pagemap");
    return new Pagemap(pid, FileChannel.open(path, StandardOpenOption.READ));
  }

  /** Pages that hold something; the kernel's page of zeros may be among them. */
  void populated(long start, long end, PagemapScan.Told told) throws IOException {
    for (long at = start; at < end; ) {
      int count = (int) Math.min(PAGES, (end - at) / PAGE);
      read(at, count);
      for (int i = 0; i < count; i++, at += PAGE) {
        long entry = entries.getLong(i * Long.BYTES);
        if ((entry & POPULATED) != 0) {
          told.page(at, entry);
        }
      }
    }
  }

  private void read(long at, int count) throws IOException {
    entries.clear().limit(count * Long.BYTES);
    while (entries.hasRemaining()) {
      if (file.read(entries, at / PAGE * Long.BYTES + entries.position()) <= 0) {
        throw new IOException("process %d has left its address space".formatted(pid));
      }
    }
  }

  @Override
  public void close() throws IOException {
    file.close();
  }
}
