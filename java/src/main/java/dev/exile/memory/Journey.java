package dev.exile.memory;

import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongConsumer;

/** What an algorithm works with: the process at home and the way to the destination. */
public interface Journey {
  /** Runs CRIU's dump of the frozen tree into {@link #images}. */
  void dump() throws IOException;

  /** Where home's images are. */
  Path images();

  /**
   * Sends one image file.
   *
   * @param sent is told the bytes sent so far, now and then
   * @return completes with the file's size once the destination has it
   */
  CompletableFuture<Long> send(Path file, LongConsumer sent);

  /** Tells how far the transfer has come, in bytes. */
  void progress(long done, long total);
}
