package dev.exile.streams;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

/** The shim's own pump, as the agent meets it. */
@EnabledIfSystemProperty(
    named = "user.name",
    matches = "root",
    disabledReason = "a pump obeys root only")
@Timeout(value = 30, unit = TimeUnit.SECONDS)
class PumpTest {
  @TempDir Path directory;
  private Shim shim;
  private Path socket;

  @BeforeEach
  void extract() throws IOException {
    shim = Shim.extract(directory.resolve("bin"));
    socket = directory.resolve("m.pump");
  }

  private static void signal(int pid, String name) throws Exception {
    assertEquals(0, new ProcessBuilder("kill", "-" + name, "" + pid).start().waitFor());
  }

  private static void awaitEnd(int pid) throws Exception {
    while (ProcessHandle.of(pid).isPresent()) {
      Thread.sleep(5);
    }
  }

  @Test
  void anAnswerThatComesLateIsNotTakenForTheNextOne() throws Exception {
    Pump pump = Pump.start(shim, socket);
    pump.make("stream-0", false, 0, 0);

    signal(pump.pid(), "STOP");
    String told = assertThrows(ShimException.class, pump::check).getMessage();
    signal(pump.pid(), "CONT");

    assertTrue(told.endsWith("does not answer"), told);
    assertEquals(Set.of("stream-0"), pump.status().keySet());
    pump.start();
    pump.quit();
    awaitEnd(pump.pid());
  }

  /** Its start was interrupted after it had begun, for example. */
  @Test
  void aPumpThatNobodyHasTakenInIsDroppedAsWell() throws Exception {
    for (boolean home : new boolean[] {true, false}) {
      Pump started = Pump.start(shim, socket);

      if (home) {
        new HomeStreams(shim, socket).drop();
      } else {
        new DestinationStreams(shim, socket).drop();
      }

      awaitEnd(started.pid());
      assertFalse(Files.exists(socket));
    }
  }

  @Test
  void anInterruptedStartLeavesAPumpThatIsFound() throws Exception {
    Thread.currentThread().interrupt();
    assertThrows(ShimException.class, () -> Pump.start(shim, socket));
    assertTrue(Thread.interrupted());

    Pump found = Pump.find(socket).orElseThrow();

    found.quit();
    awaitEnd(found.pid());
  }
}
