package dev.exile.migration;

import dev.exile.sockets.Carrier;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.function.LongConsumer;
import java.util.stream.Stream;

/** CRIU's images on their way to another host. */
final class ImageTransfer {
  private ImageTransfer() {}

  /**
   * Sends all files of a directory, side by side.
   *
   * @param to the name under which the destination takes them
   * @param sent is told each number of bytes that has gone
   * @throws IOException where one has not arrived
   */
  static void send(Carrier carrier, String to, Path directory, LongConsumer sent)
      throws IOException, InterruptedException {
    List<Path> files;
    try (Stream<Path> listed = Files.list(directory)) {
      files = listed.toList();
    }
    List<CompletableFuture<Long>> transfers = new ArrayList<>();
    for (Path file : files) {
      long[] before = {0};
      transfers.add(
          carrier.sendFile(
              to,
              file.getFileName().toString(),
              file,
              bytes -> {
                sent.accept(bytes - before[0]); // one event loop tells
                before[0] = bytes;
              }));
    }
    for (CompletableFuture<Long> transfer : transfers) {
      try {
        transfer.get();
      } catch (ExecutionException e) {
        throw new IOException(e.getCause().getMessage(), e);
      }
    }
  }
}
