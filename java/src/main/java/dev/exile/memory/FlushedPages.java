package dev.exile.memory;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Pages in a directory that both hosts reach: home flushes them there, one file with content and
 * one that tells where in it each range is, and the destination pages in from it. What no range
 * tells of is zeros. One thread at a time.
 */
public final class FlushedPages implements PageSink, Closeable {
  private static final String INDEX = "index";
  private static final String CONTENT = "pages";
  private static final int CHUNK = PageSender.CHUNK;

  private final Path directory;
  private final FileChannel content;
  private final List<String> lines = new ArrayList<>();
  private final Map<Integer, TreeMap<Long, long[]>> ranges = new HashMap<>();
  private long written;

  private FlushedPages(Path directory, FileChannel content) {
    this.directory = directory;
    this.content = content;
  }

  // ---- At home. ----

  /** Begins to flush into an empty directory. */
  public static FlushedPages create(Path directory) throws IOException {
    return new FlushedPages(
        directory,
        FileChannel.open(
            directory.resolve(CONTENT), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
  }

  @Override
  public void data(
      int pid, long start, long length, boolean compressed, ByteBuffer from, Runnable sent)
      throws IOException {
    int size = from.remaining();
    try {
      while (from.hasRemaining()) {
        content.write(from);
      }
    } finally {
      sent.run();
    }
    lines.add("%d %x %d %d %d".formatted(pid, start, length, written, compressed ? size : 0));
    written += size;
  }

  @Override
  public void zeros(int pid, long start, long length) {
    // What no range tells of is zeros.
  }

  /** All of it is on the store, whatever happens to this host. */
  @Override
  public void await() throws IOException {
    content.force(false);
    Path index = directory.resolve(INDEX);
    Files.write(index, lines);
    try (FileChannel file = FileChannel.open(index, StandardOpenOption.WRITE)) {
      file.force(true);
    }
  }

  // ---- At the destination. ----

  /** Opens what was flushed. */
  public static FlushedPages open(Path directory) throws IOException {
    FlushedPages pages =
        new FlushedPages(
            directory, FileChannel.open(directory.resolve(CONTENT), StandardOpenOption.READ));
    for (String line : Files.readAllLines(directory.resolve(INDEX))) {
      String[] words = line.split(" ", -1);
      pages
          .ranges
          .computeIfAbsent(Integer.valueOf(words[0]), pid -> new TreeMap<>())
          .put(
              Long.parseLong(words[1], 16),
              new long[] {
                Long.parseLong(words[2]), Long.parseLong(words[3]), Long.parseLong(words[4])
              });
    }
    return pages;
  }

  /** Puts a range into the store. */
  public void load(Requests.Range range, Store into) throws IOException {
    TreeMap<Long, long[]> of = ranges.getOrDefault(range.pid(), new TreeMap<>());
    Long first = of.floorKey(range.start());
    Long from = first == null ? Long.valueOf(range.start()) : first;
    for (Map.Entry<Long, long[]> entry : of.subMap(from, true, range.end(), false).entrySet()) {
      long start = entry.getKey();
      long length = entry.getValue()[0];
      if (start + length <= range.start()) {
        continue;
      }
      long begin = Math.max(start, range.start());
      long end = Math.min(start + length, range.end());
      boolean packed = entry.getValue()[2] > 0;
      if (packed) {
        ByteBuffer whole = read(entry.getValue()[1], entry.getValue()[2]);
        into.part(range.pid(), start, length, true, whole, begin, end);
        continue;
      }
      for (long at = begin; at < end; at += CHUNK) {
        long size = Math.min(CHUNK, end - at);
        ByteBuffer piece = read(entry.getValue()[1] + at - start, size);
        into.data(range.pid(), at, size, false, piece);
      }
    }
  }

  private ByteBuffer read(long offset, long size) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocateDirect((int) size);
    while (buffer.hasRemaining()) {
      if (content.read(buffer, offset + buffer.position()) < 0) {
        throw new IOException(directory + " has fewer pages than its index tells of");
      }
    }
    return buffer.flip();
  }

  @Override
  public void close() throws IOException {
    content.close();
  }
}
