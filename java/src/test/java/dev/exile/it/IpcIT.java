package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** SysV IPC and POSIX shared memory travel with the tree that uses them, and only with it. */
@Hosts(
    agentOptions = FaultPoint.OPTION,
    value = {"a", "b", "c"})
class IpcIT {
  private static final String STRANGERS_KEY = "0x0000beef";

  private Path file;

  @BeforeEach
  void chooseFile(Testbed bed) throws IOException {
    file = Files.createTempDirectory(bed.work(), "ipc").resolve("tree");
  }

  @AfterEach
  void removeObjects(Testbed bed) {
    bed.endWorkloads();
    for (String host : bed.hosts()) {
      bed.exec(host, "sh", "-c", "ipcrm -a; rm -f /dev/shm/*").orFail();
    }
  }

  @Test
  void treeTravelsWithItsMemoryItsSemaphoresAndItsMessages(Testbed bed) throws IOException {
    strangersObjects(bed);
    String before = shown(bed, "a");
    Daemon tree = start(bed);

    Exile.move(bed, tree, "b");

    assertAllTrue(go());
    assertEquals(before, shown(bed, "a"));
    assertEquals("", shown(bed, "b"));
  }

  @Test
  void afterARollbackEverythingIsAsBefore(Testbed bed) throws IOException {
    Daemon tree = start(bed);
    String before = shown(bed, "a");
    new FaultPoint("home.committed", "fail").arm(bed, "a");

    Exile.migrate(bed, "a", tree.pid(), "b").assertFails("rolled-back");

    FaultPoint.disarm(bed, "a");
    assertEquals(before, shown(bed, "a"));
    assertEquals("", shown(bed, "b"));
    assertAllTrue(go());
  }

  @Test
  void treeMovesOnAndComesHomeWithAllOfIt(Testbed bed) throws IOException {
    strangersObjects(bed);
    String before = shown(bed, "a");
    Daemon tree = start(bed);

    String id = Exile.move(bed, tree, "b").path("id").asText();
    Exile.hop(bed, "a", tree, "c");
    Exile.recall(bed, "c", id);

    assertAllTrue(go());
    Exile.hop(bed, "a", tree, "b"); // what it has used there meanwhile, too
    assertEquals(before, shown(bed, "a"));
    assertEquals("", shown(bed, "b"));
    assertEquals("", shown(bed, "c"));
  }

  @Test
  void afterALegIsUndoneEverythingIsAsBefore(Testbed bed) throws IOException {
    Daemon tree = start(bed);
    Exile.move(bed, tree, "b");
    new FaultPoint("hop.committed", "fail").arm(bed, "a");

    Exile.migrate(bed, "a", tree.pid(), "c").assertFails("rolled-back");

    FaultPoint.disarm(bed, "a");
    tree.assertRunsOnlyOn("b");
    assertAllTrue(go());
  }

  @Test
  void whatAStrangerUsesTooIsRefusedByName(Testbed bed) throws IOException {
    Daemon tree = start(bed);
    Daemon stranger = bed.python("a", "ipc_tree.py", file, "stranger");
    await("stranger");

    String who = "process " + stranger.pid() + " (python3)";
    Exile.migrate(bed, "a", tree.pid(), "b")
        .assertFails(
            "refused",
            "SysV shared memory segment",
            "(key 0x45580001) is used by " + who,
            "SysV message queue",
            "/dev/shm/exile-it is used by " + who);
    assertTrue(go().path("segment").asBoolean());
  }

  @Test
  void secretMemoryIsRefused(Testbed bed) throws IOException {
    Daemon tree = bed.python("a", "ipc_tree.py", file, "secret");
    await("secret");

    Exile.migrate(bed, "a", tree.pid(), "b").assertFails("refused", "memfd_secret");
  }

  private static void assertAllTrue(JsonNode facts) {
    assertTrue(facts.size() > 0);
    facts.forEach(fact -> assertTrue(fact.asBoolean(), facts::toString));
  }

  private Daemon start(Testbed bed) throws IOException {
    Daemon tree = bed.python("a", "ipc_tree.py", file);
    await("ready");
    return tree;
  }

  private static void strangersObjects(Testbed bed) {
    bed.exec(
            "a",
            "python3",
            "-c",
            """
            import ctypes
            c = ctypes.CDLL(None)
            for make in (lambda: c.shmget(%1$s, 8 << 20, 0o1600),
                         lambda: c.msgget(%1$s, 0o1600),
                         lambda: c.semget(%1$s, 2, 0o1600)):
                assert make() >= 0
            open("/dev/shm/strangers", "w").write("his own")
            """
                .formatted(STRANGERS_KEY))
        .orFail();
  }

  /** What a host's own processes see: all SysV objects with their keys, and /dev/shm. */
  private static String shown(Testbed bed, String host) {
    return bed.exec(
            host,
            "sh",
            "-c",
            "tail -qn +2 /proc/sysvipc/* | awk '{print $1, $2, $3, $4}'; ls /dev/shm")
        .orFail()
        .out();
  }

  private JsonNode go() throws IOException {
    Files.createFile(Path.of(file + ".go"));
    return await("out");
  }

  private JsonNode await(String kind) throws IOException {
    Path told = Path.of(file + "." + kind);
    Path error = Path.of(file + ".error");
    Await.until(
        Duration.ofSeconds(20),
        () -> told + (Files.exists(error) ? ": " + Proc.read(error) : ""),
        () -> Files.exists(told));
    return new ObjectMapper().readTree(told.toFile());
  }
}
