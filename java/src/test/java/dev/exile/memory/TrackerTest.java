package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.shim.Shim;
import java.io.BufferedReader;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What trackers must not miss, one thing at a time. */
@EnabledIfSystemProperty(
    named = "user.name",
    matches = "root",
    disabledReason = "only root reads another process's memory")
@Timeout(value = 2, unit = TimeUnit.MINUTES)
class TrackerTest {
  private static final long SIZE = 4 << 20;

  @TempDir Path directory;

  @ParameterizedTest
  @EnumSource(Tracker.Kind.class)
  void whatMovesToAKnownPlaceWithItsPageTablesCountsAsWritten(Tracker.Kind kind) throws Exception {
    Shim shim = Shim.extract(directory.resolve("bin"));
    TrackerKinds.assumeWorks(kind, shim);
    Process process =
        new ProcessBuilder(TrackerKinds.compile("mover", directory).toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (BufferedReader out = process.inputReader()) {
      long start = Long.parseLong(out.readLine(), 16);
      int pid = (int) process.pid();
      try (Trackers trackers = Trackers.start(shim, kind.toString(), pid);
          Tracker tracker = trackers.track(pid)) {
        assertEquals(SIZE / PageSet.PAGE, written(tracker, pid, start), "all, at first");
        assertEquals(0, written(tracker, pid, start), "nothing was written");
        process.getOutputStream().write('\n');
        process.getOutputStream().flush();
        assertEquals("moved", out.readLine());
        assertEquals(SIZE / PageSet.PAGE, written(tracker, pid, start), "other pages are there");
        assertEquals(0, written(tracker, pid, start), "nothing was written since");
      }
      process.getOutputStream().close();
      assertEquals(0, process.waitFor(), "it runs on");
    } finally {
      process.destroyForcibly().waitFor();
    }
  }

  private static long written(Tracker tracker, int pid, long start) throws Exception {
    PageSet pages = new PageSet();
    assertTrue(tracker.begin());
    for (Area area : Area.of(pid, false)) {
      pages.addAll(tracker.look(area).pages());
    }
    tracker.end();
    PageSet there = new PageSet();
    pages.within(start, start + SIZE, there::add);
    return there.pages();
  }
}
