package dev.exile.memory;

import com.github.luben.zstd.Zstd;
import dev.exile.linux.MemoryFile;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * Memory at the destination, until it is in its place: a sparse file in memory for each process, in
 * which the offset is the address. Thread-safe.
 */
public final class Store implements Closeable {
  /** Each file's name in /proc/PID/fd, before the process's PID. */
  public static final String NAME = "exile-memory-";

  private static final int CHUNK = 1 << 20;

  /** As many as a process can have without asking for more. */
  private static final long ADDRESSES = 1L << 47;

  private final Map<Integer, MemoryFile> files = new TreeMap<>();
  private final ByteBuffer plain = ByteBuffer.allocateDirect(CHUNK);
  private long bytes;

  /** The content of a range. */
  public void data(int pid, long start, long length, boolean packed, ByteBuffer from)
      throws IOException {
    part(pid, start, length, packed, from, start, start + length);
  }

  /** The content of a range, of which only the part from {@code begin} to {@code end} is new. */
  public synchronized void part(
      int pid, long start, long length, boolean packed, ByteBuffer from, long begin, long end)
      throws IOException {
    ByteBuffer content = packed ? unpack(from) : from;
    if (content.remaining() != length || start < 0) {
      throw new IOException(
          "a frame of pages has %d bytes instead of %d".formatted(content.remaining(), length));
    }
    int at = content.position() + (int) (begin - start);
    file(pid).write(content.slice(at, (int) (end - begin)), begin);
    bytes += end - begin;
  }

  private ByteBuffer unpack(ByteBuffer from) throws IOException {
    long size =
        Zstd.decompressDirectByteBuffer(
            plain, 0, plain.capacity(), from, from.position(), from.remaining());
    if (Zstd.isError(size)) {
      throw new IOException("a frame of pages cannot be unpacked: " + Zstd.getErrorName(size));
    }
    return plain.duplicate().position(0).limit((int) size);
  }

  /** The range holds zeros, or nothing. */
  public synchronized void zeros(int pid, long start, long length) throws IOException {
    file(pid).drop(start, length);
  }

  /** Where others open the file of that process, while this store is not closed. */
  public synchronized Path path(int pid) throws IOException {
    return file(pid).path();
  }

  private MemoryFile file(int pid) throws IOException {
    MemoryFile file = files.get(pid);
    if (file == null) {
      file = MemoryFile.create(NAME + pid, ADDRESSES);
      files.put(pid, file);
    }
    return file;
  }

  /** Takes one that another process holds. */
  public synchronized void take(int pid, MemoryFile file) {
    files.put(pid, file);
  }

  /** Bytes of pages that have come. */
  public synchronized long bytes() {
    return bytes;
  }

  /** Gives the memory back, as soon as no other process holds it. */
  @Override
  public synchronized void close() throws IOException {
    for (MemoryFile file : files.values()) {
      file.close();
    }
    files.clear();
  }
}
