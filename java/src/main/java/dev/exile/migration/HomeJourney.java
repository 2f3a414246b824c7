package dev.exile.migration;

import dev.exile.memory.Journey;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongConsumer;

/** What home lends to the algorithm that moves the address space. */
record HomeJourney(
    Site site, Facts facts, FrozenTree tree, HomeSockets carriers, ProgressListener listener)
    implements Journey {

  @Override
  public void dump() throws IOException {
    tree.dump();
  }

  @Override
  public Path images() {
    return site.images(facts.id);
  }

  @Override
  public CompletableFuture<Long> send(Path file, LongConsumer sent) {
    return carriers.sendImage(file, sent);
  }

  @Override
  public void progress(long done, long total) {
    facts.bytesTransferred = done;
    listener.bytes(facts.id, done, total);
  }
}
