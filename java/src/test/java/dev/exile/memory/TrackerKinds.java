package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.exile.linux.PagemapScan;
import dev.exile.linux.Userfault;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/** What tests of trackers share. */
final class TrackerKinds {
  /** Programs that were compiled before, where there is no compiler. */
  private static final String PROGRAMS = System.getProperty("exile.memory.programs", "");

  /** The only kind that is tested, and must work here; empty: each that works. */
  private static final String ONLY = System.getProperty("exile.memory.tracker", "");

  private TrackerKinds() {}

  /** Skips the test where the kernel has none of that kind. */
  static void assumeWorks(Tracker.Kind kind, Shim shim) throws IOException {
    if (!ONLY.isEmpty()) {
      Assumptions.assumeTrue(ONLY.equals(kind.toString()), "only " + ONLY + " is tested");
      return;
    }
    switch (kind) {
      case USERFAULTFD -> {
        Assumptions.assumeTrue(Userfault.isAvailable(), "needs userfaultfd");
        try (PagemapScan own = PagemapScan.of((int) ProcessHandle.current().pid())) {
          Assumptions.assumeTrue(own.scans(), "needs PAGEMAP_SCAN");
        }
      }
      case SOFT_DIRTY -> {
        try (TrackJob job = TrackJob.start(shim)) {
          job.trySoftDirty();
        } catch (ShimException e) {
          Assumptions.abort(e.getMessage());
        }
      }
    }
  }

  /** A program out of the tests' workloads. */
  static Path compile(String name, Path directory) throws Exception {
    if (!PROGRAMS.isEmpty()) {
      return Path.of(PROGRAMS, name);
    }
    Path program = Files.createDirectories(directory).resolve("compiled-" + name);
    Path source = Path.of("src/test/workloads", name + ".c").toAbsolutePath();
    assertEquals(
        0,
        new ProcessBuilder("gcc", "-O2", "-o", program.toString(), source.toString())
            .inheritIO()
            .start()
            .waitFor());
    return program;
  }
}
