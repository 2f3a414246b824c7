package dev.exile.memory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.stream.Stream;

/**
 * Total-copy, the paper's section 1.1 (Demos/MP, Charlotte, Amoeba): the process stands still while
 * all of its state is written and sent. The freeze grows with the resident set; every byte travels
 * once; afterwards nothing of its memory is needed from home.
 */
public final class TotalCopy implements Algorithm {
  /** Its name. */
  public static final String NAME = "total-copy";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public void whileRunning(Journey journey) {
    // Nothing travels before the freeze: that is what tells this algorithm from the others.
  }

  @Override
  public void dump(Journey journey) throws IOException {
    journey.dump();
  }

  @Override
  public void transfer(Journey journey) throws IOException, InterruptedException {
    List<Path> files;
    try (Stream<Path> listed = Files.list(journey.images())) {
      files = listed.sorted().toList();
    }
    long total = 0;
    for (Path file : files) {
      total += Files.size(file);
    }
    AtomicLongArray sent = new AtomicLongArray(files.size());
    List<CompletableFuture<Long>> transfers = new ArrayList<>();
    for (int i = 0; i < files.size(); i++) {
      int index = i;
      long all = total;
      transfers.add(
          journey.send(
              files.get(i),
              bytes -> {
                sent.set(index, bytes);
                journey.progress(sum(sent), all);
              }));
    }
    for (CompletableFuture<Long> transfer : transfers) {
      await(transfer);
    }
    journey.progress(total, total);
  }

  private static long sum(AtomicLongArray values) {
    long sum = 0;
    for (int i = 0; i < values.length(); i++) {
      sum += values.get(i);
    }
    return sum;
  }

  private static void await(CompletableFuture<Long> transfer)
      throws IOException, InterruptedException {
    try {
      transfer.get();
    } catch (ExecutionException e) {
      throw new IOException(e.getCause().getMessage(), e);
    }
  }
}
