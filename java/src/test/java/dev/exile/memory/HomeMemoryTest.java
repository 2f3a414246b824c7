package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.shim.Shim;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What home sends of a process that changes its memory all the time, against that memory itself.
 */
@EnabledIfSystemProperty(
    named = "user.name",
    matches = "root",
    disabledReason = "only root reads another process's memory")
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class HomeMemoryTest {
  private static final int TIMES = Integer.getInteger("exile.memory.times", 10);
  private static final int COMPARED = 1 << 20;

  @TempDir Path directory;
  private Path status;
  private Process process;
  private int pid;

  @BeforeEach
  void startPattern() throws Exception {
    Path program = TrackerKinds.compile("pattern", directory);
    status = directory.resolve("status");
    Path data = directory.resolve("data");
    process =
        new ProcessBuilder(program.toString(), "32", "20000", "" + status, "" + data, "7")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    pid = (int) process.pid();
    while (!Files.exists(status) || !Files.readString(status).contains(" ready")) {
      assertTrue(process.isAlive(), "its memory is filled");
      Thread.sleep(20);
    }
  }

  @AfterEach
  void end() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @ParameterizedTest
  @EnumSource(Tracker.Kind.class)
  void roundsAndTheFreezeTogetherSendEachPageAsItIs(Tracker.Kind kind) throws Exception {
    Shim shim = Shim.extract(directory.resolve("bin"));
    TrackerKinds.assumeWorks(kind, shim);
    try (Trackers trackers = Trackers.start(shim, kind.toString(), pid)) {
      for (int i = 0; i < TIMES; i++) {
        moveAndCompare(trackers, new PreCopy(), "time " + i);
      }
    }
    assertTrue(Files.readString(status).contains(" wrong 0 "), Files.readString(status));
  }

  @Test
  void theFreezeAloneSendsEachPageAsItIs() throws Exception {
    for (int i = 0; i < TIMES; i++) {
      moveAndCompare(null, new TotalCopy(), "time " + i);
    }
  }

  private void moveAndCompare(Trackers trackers, Algorithm algorithm, String time)
      throws Exception {
    Algorithm.Tree tree = () -> List.of(pid);
    try (Store store = new Store();
        HomeMemory memory =
            new HomeMemory(new IntoStore(store), trackers, Limits.DEFAULT, false, sent -> {})) {
      algorithm.whileRunning(memory, tree);
      signal("STOP");
      awaitStopped();
      memory.freeze(tree.pids());
      algorithm.whileFrozen(memory);
      memory.await();
      Plan plan = memory.plans(false).get(0);
      assertEquals(0, plan.missingBytes());
      try (FileChannel actual = open(Path.of("/proc/" + pid + "/mem"));
          FileChannel sent = open(store.path(pid))) {
        long bytes = 0;
        for (int i = 0; i < plan.areas().size(); i += 2) {
          long start = plan.areas().get(i);
          long end = plan.areas().get(i + 1);
          bytes += end - start;
          compare(actual, sent, start, end, time);
        }
        assertTrue(bytes > 32 << 20, "it looked at all: " + bytes);
      }
    } finally {
      signal("CONT");
    }
    Thread.sleep(20);
  }

  private static FileChannel open(Path path) throws IOException {
    return FileChannel.open(path, StandardOpenOption.READ);
  }

  private static void compare(
      FileChannel actual, FileChannel sent, long start, long end, String time) throws IOException {
    for (long at = start; at < end; at += COMPARED) {
      int length = (int) Math.min(COMPARED, end - at);
      int where = read(actual, at, length).mismatch(read(sent, at, length));
      assertFalse(
          where >= 0,
          "%s: %x of the area %x-%x is not as it was sent".formatted(time, at + where, start, end));
    }
  }

  private static ByteBuffer read(FileChannel from, long at, int length) throws IOException {
    ByteBuffer into = ByteBuffer.allocate(length);
    while (into.hasRemaining()) {
      assertTrue(from.read(into, at + into.position()) > 0);
    }
    return into.flip();
  }

  private void signal(String name) throws Exception {
    assertEquals(0, new ProcessBuilder("kill", "-" + name, "" + pid).start().waitFor());
  }

  private void awaitStopped() throws Exception {
    while (!Files.readString(Path.of("/proc/" + pid + "/stat")).contains(") T ")) {
      Thread.sleep(1);
    }
  }

  /** The destination. */
  private record IntoStore(Store store) implements PageSink {
    @Override
    public void data(
        int pid, long start, long length, boolean compressed, ByteBuffer content, Runnable sent)
        throws IOException {
      store.data(pid, start, length, compressed, content);
      sent.run();
    }

    @Override
    public void zeros(int pid, long start, long length) throws IOException {
      store.zeros(pid, start, length);
    }

    @Override
    public void await() {}
  }
}
