package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is flushed, and what is paged in from there, by the sender and the store that do it. */
class FlushedPagesTest {
  private static final int PAGES = 400;
  private static final int PID = 7;
  @TempDir Path directory;

  private byte[] content(long seed) {
    Random random = new Random(seed);
    byte[] content = new byte[PAGES * PageSet.PAGE];
    byte[] page = new byte[PageSet.PAGE];
    for (int i = 0; i < PAGES; i++) {
      switch (random.nextInt(3)) {
        case 0 -> {} // zeros
        case 1 -> java.util.Arrays.fill(content, i * page.length, (i + 1) * page.length, (byte) i);
        default -> {
          random.nextBytes(page);
          System.arraycopy(page, 0, content, i * page.length, page.length);
        }
      }
    }
    return content;
  }

  @Test
  void eachRangeIsAsItWasFlushedInWhateverOrderItIsAskedFor() throws Exception {
    for (long seed = 0; seed < 2; seed++) {
      byte[] content = content(seed);
      Path memory = Files.write(directory.resolve("memory" + seed), content);
      Path flushed = Files.createDirectory(directory.resolve("flushed" + seed));
      Sent sent = new Sent();
      try (FileChannel from = FileChannel.open(memory, StandardOpenOption.READ);
          FlushedPages pages = FlushedPages.create(flushed)) {
        PageSender sender = new PageSender(pages, 0, PageSender.BUFFERS, bytes -> {});
        sender.send(from, PID, 0, content.length, sent);
        sender.await();
      }
      assertTrue(Files.size(flushed.resolve("pages")) <= content.length);
      Random random = new Random(seed);
      try (FlushedPages pages = FlushedPages.open(flushed);
          Store store = new Store()) {
        for (int i = 0; i < 60; i++) {
          int first = random.nextInt(PAGES);
          int last = Math.min(PAGES, first + 1 + random.nextInt(40));
          long start = (long) first * PageSet.PAGE;
          pages.load(new Requests.Range(PID, start, (long) last * PageSet.PAGE), store);
          assertArrayEquals(
              java.util.Arrays.copyOfRange(content, (int) start, last * PageSet.PAGE),
              read(store, start, (last - first) * PageSet.PAGE));
        }
      }
    }
  }

  private static byte[] read(Store store, long start, int length) throws IOException {
    ByteBuffer into = ByteBuffer.allocate(length);
    try (FileChannel file = FileChannel.open(store.path(PID), StandardOpenOption.READ)) {
      while (into.hasRemaining()) {
        file.read(into, start + into.position());
      }
    }
    return into.array();
  }

  @Test
  void aStoreThatLacksSomeOfItIsNotTakenForZeros() throws Exception {
    try (FlushedPages pages = FlushedPages.create(directory)) {
      ByteBuffer page = ByteBuffer.allocateDirect(PageSet.PAGE);
      pages.data(PID, 0, PageSet.PAGE, false, page, () -> {});
      pages.await();
    }
    try (FileChannel file =
        FileChannel.open(directory.resolve("pages"), StandardOpenOption.WRITE)) {
      file.truncate(100);
    }
    try (FlushedPages pages = FlushedPages.open(directory);
        Store store = new Store()) {
      IOException told =
          assertThrows(
              IOException.class, () -> pages.load(new Requests.Range(PID, 0, 4096), store));
      assertEquals(directory + " has fewer pages than its index tells of", told.getMessage());
    }
  }
}
