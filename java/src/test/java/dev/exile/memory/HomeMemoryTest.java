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
import java.util.ArrayList;
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
import org.junit.jupiter.params.provider.ValueSource;

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

  /** Before it is stopped. */
  private Happening between = () -> {};

  private interface Happening {
    void happen() throws Exception;
  }

  @BeforeEach
  void startPattern() throws Exception {
    status = directory.resolve("status");
    start(pattern());
    awaitReady();
  }

  private List<String> pattern() throws Exception {
    Path program = TrackerKinds.compile("pattern", directory);
    String data = directory.resolve("data").toString();
    return List.of(program.toString(), "32", "20000", status.toString(), data, "7");
  }

  private void start(List<String> command) throws IOException {
    process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    pid = (int) process.pid();
  }

  private void awaitReady() throws Exception {
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
        assertEquals(0, moveAndCompare(trackers, new PreCopy(), "time " + i));
      }
    }
    assertTrue(Files.readString(status).contains(" wrong 0 "), Files.readString(status));
  }

  @Test
  void theFreezeAloneSendsEachPageAsItIs() throws Exception {
    for (int i = 0; i < TIMES; i++) {
      assertEquals(0, moveAndCompare(null, new TotalCopy(), "time " + i));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {Auto.NAME, DemandPaging.NAME, EagerDirty.NAME})
  void whatIsNotMissingIsThereAsItIs(String algorithm) throws Exception {
    Shim shim = Shim.extract(directory.resolve("bin"));
    TrackerKinds.assumeWorks(Tracker.Kind.USERFAULTFD, shim);
    try (Trackers trackers = Trackers.start(shim, "", pid)) {
      for (int i = 0; i < TIMES; i++) {
        long left = moveAndCompare(trackers, Algorithm.named(algorithm), "time " + i);
        assertTrue(left > 0 || algorithm.equals(Auto.NAME), "some was to be left");
      }
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void ofAProcessThatExecutesAnotherProgramThatOneIsSent(boolean tracked) throws Exception {
    end();
    Files.delete(status);
    List<String> command = new ArrayList<>(List.of("sh", "-c", "read line; exec \"$@\"", "sh"));
    command.addAll(pattern());
    start(command);
    Shim shim = Shim.extract(directory.resolve("bin"));
    if (tracked) {
      TrackerKinds.assumeWorks(Tracker.Kind.USERFAULTFD, shim);
    }
    try (Trackers trackers = tracked ? Trackers.start(shim, "", pid) : null) {
      between =
          () -> {
            process.outputWriter().write("\n");
            process.outputWriter().flush();
            awaitReady();
          };
      moveAndCompare(trackers, tracked ? new PreCopy() : new TotalCopy(), "exec");
    }
  }

  /** Returns how many bytes are left to follow. */
  private long moveAndCompare(Trackers trackers, Algorithm algorithm, String time)
      throws Exception {
    Algorithm.Tree tree = () -> List.of(pid);
    Limits limits = new Limits(2, 0, 1, 0, "", "");
    try (Store store = new Store();
        HomeMemory memory =
            new HomeMemory(new IntoStore(store), trackers, limits, true, sent -> {})) {
      if (trackers == null) {
        memory.meet(tree.pids());
      }
      algorithm.whileRunning(memory, tree);
      between.happen();
      signal("STOP");
      awaitStopped();
      memory.freeze(tree.pids());
      algorithm.whileFrozen(memory);
      memory.await();
      Plan plan = memory.plans(false).get(0);
      try (FileChannel actual = open(Path.of("/proc/" + pid + "/mem"));
          FileChannel sent = open(store.path(pid))) {
        PageSet there = pages(plan.areas());
        assertTrue(there.pages() > 32 << 8, "it looked at all: " + there.pages());
        there
            .minus(pages(plan.missing()))
            .<IOException>forEach((start, end) -> compare(actual, sent, start, end, time));
      }
      return plan.missingBytes();
    } finally {
      signal("CONT");
      Thread.sleep(20);
    }
  }

  private static PageSet pages(List<Long> ranges) {
    PageSet pages = new PageSet();
    for (int i = 0; i < ranges.size(); i += 2) {
      pages.add(ranges.get(i), ranges.get(i + 1));
    }
    return pages;
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
