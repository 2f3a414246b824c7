package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.exile.shim.Shim;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/**
 * The agent's end of the pager's socket; what the pager does native/test/test_pager.py looks at.
 */
@EnabledIfSystemProperty(
    named = "user.name",
    matches = "root",
    disabledReason = "the pager serves root only")
@Timeout(value = 1, unit = TimeUnit.MINUTES)
class PagerTest {
  @TempDir Path directory;

  private final CountDownLatch hungUp = new CountDownLatch(1);
  private Pager pager;

  /** As the agent does. */
  private final Pager.Listener listener =
      new Pager.Listener() {
        @Override
        public void wanted(int pid, long address) {}

        @Override
        public void hungUp() throws IOException {
          pager.follow(this);
          hungUp.countDown();
        }

        @Override
        public void died() {}
      };

  @Test
  void itIsAskedAgainAfterAKillThatItsFollowerWasNotThereToSee() throws Exception {
    Path socket = directory.resolve("pager");
    pager = Pager.start(Shim.extract(directory.resolve("bin")), socket);
    try {
      assertEquals(List.of(), pager.status());
      int worker = only(socket, "exile-pager");
      int keeper = only(socket, "exile-keeper");
      signal(keeper, "STOP"); // there is no next worker yet
      signal(worker, "KILL");
      pager.follow(listener); // which the next one accepts, and hangs up on those before
      signal(keeper, "CONT");

      assertThrows(IOException.class, pager::status);

      hungUp.await();
      assertEquals(List.of(), pager.status());
    } finally {
      pager.quit();
    }
  }

  private static int only(Path socket, String name) throws IOException {
    try (Stream<ProcessHandle> all = ProcessHandle.allProcesses()) {
      List<Long> found = all.filter(p -> is(p, socket, name)).map(ProcessHandle::pid).toList();
      assertEquals(1, found.size(), () -> name + ": " + found);
      return found.get(0).intValue();
    }
  }

  private static boolean is(ProcessHandle process, Path socket, String name) {
    Path folder = Path.of("/proc", "" + process.pid());
    try {
      return Files.readString(folder.resolve("comm")).strip().equals(name)
          && Files.readString(folder.resolve("cmdline")).contains(socket.toString());
    } catch (IOException e) {
      return false; // it has ended
    }
  }

  private static void signal(int pid, String name) throws Exception {
    Process kill = new ProcessBuilder("kill", "-" + name, "" + pid).inheritIO().start();
    assertEquals(0, kill.waitFor());
  }
}
