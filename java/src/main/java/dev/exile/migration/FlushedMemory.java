package dev.exile.migration;

import dev.exile.memory.FlushedPages;
import dev.exile.memory.Requests;
import dev.exile.memory.Store;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Memory that the destination reads from the directory to which home has flushed it. */
final class FlushedMemory implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(FlushedMemory.class);
  private static final long SLICE_MILLIS = 500;

  private final Path directory;
  private final Store store;
  private final Here here;
  private final Requests requests = new Requests();
  private volatile boolean over;

  /** Is told what the store has got. */
  @FunctionalInterface
  interface Here {
    void range(int pid, long start, long end) throws IOException;
  }

  private FlushedMemory(Path directory, Store store, Here here) {
    this.directory = directory;
    this.store = store;
    this.here = here;
  }

  /** The directory of a migration within a store that an operator has named. */
  static Path directory(Path store, String id) {
    return store.resolve("exile-" + id + ".memory");
  }

  /**
   * Begins to read.
   *
   * @throws IOException where it is not there, or is no such directory
   */
  static FlushedMemory start(Path directory, Store store, Here here) throws IOException {
    check(directory);
    FlushedMemory memory = new FlushedMemory(directory, store, here);
    FlushedPages pages = FlushedPages.open(directory);
    Thread thread = new Thread(() -> memory.run(pages), "flushed-" + directory.getFileName());
    thread.setDaemon(true);
    thread.start();
    return memory;
  }

  Requests requests() {
    return requests;
  }

  private void run(FlushedPages pages) {
    try (pages) {
      while (!over) {
        Requests.Range range = requests.next(SLICE_MILLIS);
        if (range != null && !over) {
          load(pages, range);
        }
      }
    } catch (IOException e) {
      LOG.warn("{}: {}", directory, e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** The process waits for as long as the store cannot be read. */
  private void load(FlushedPages pages, Requests.Range range) throws InterruptedException {
    boolean told = false;
    while (!over) {
      try {
        pages.load(range, store);
        here.range(range.pid(), range.start(), range.end());
        return;
      } catch (IOException e) {
        if (!told) {
          LOG.error("{}: the process waits for pages: {}", directory, e.getMessage());
        }
        told = true;
        TimeUnit.MILLISECONDS.sleep(SLICE_MILLIS);
      }
    }
  }

  /** Reads no more. */
  @Override
  public void close() {
    over = true;
  }

  /** It is another host that names it. */
  private static void check(Path directory) throws IOException {
    if (!directory.isAbsolute() || !directory.getFileName().toString().endsWith(".memory")) {
      throw new IOException(directory + " is no directory of flushed memory");
    }
  }

  /** Nobody needs it any more. */
  static void remove(Path directory) throws IOException {
    check(directory);
    Files.deleteIfExists(directory.resolve("pages"));
    Files.deleteIfExists(directory.resolve("index"));
    Files.deleteIfExists(directory);
  }
}
