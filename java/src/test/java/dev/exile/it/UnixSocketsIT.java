package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * Unix sockets inside the tree travel with what is in their queues; datagrams go to whoever
 * receives them at the destination. What has its other end in a process that stays is refused.
 */
@Hosts(
    agentOptions = FaultPoint.OPTION,
    value = {"a", "b", "c"})
class UnixSocketsIT {
  private static final String LOG = "/run/exile-it-log";
  private static final String PATH = "/run/exile-it.sock";

  private Path file;

  @BeforeEach
  void chooseFile(Testbed bed) throws IOException {
    file = Files.createTempDirectory(bed.work(), "unix").resolve("tree");
  }

  @AfterEach
  void end(Testbed bed) {
    bed.endWorkloads();
    for (String host : bed.hosts()) {
      bed.exec(host, "rm", "-f", LOG, PATH).orFail();
    }
  }

  @Test
  void pairsTravelWithWhatIsInTheirQueues(Testbed bed) throws IOException {
    move(bed, start(bed, "pairs"));

    assertAllTrue(go());
  }

  @Test
  void listenersTravelWithTheirConnections(Testbed bed) throws IOException {
    move(bed, start(bed, "listener"));

    assertAllTrue(go());
    assertEquals(1, bed.exec("a", "test", "-e", PATH).exit());
  }

  @Test
  void theyMoveOnAndComeHome(Testbed bed) throws IOException {
    Daemon tree = start(bed, "listener");
    String id = Exile.move(bed, tree, "b").path("id").asText();
    for (String to : List.of("c", "b")) {
      Exile.hop(bed, "a", tree, to);
      assertPathIsOnlyOn(bed, to);
    }
    Exile.recall(bed, "a", id);

    assertPathIsOnlyOn(bed, "a");
    assertAllTrue(go());
  }

  @Test
  void afterALegIsUndoneTheyAreWhereTheyWere(Testbed bed) throws IOException {
    Daemon tree = start(bed, "listener");
    Exile.move(bed, tree, "b");
    new FaultPoint("hop.committed", "fail").arm(bed, "a");

    Exile.migrate(bed, "a", tree.pid(), "c").assertFails("rolled-back");

    FaultPoint.disarm(bed, "a");
    assertPathIsOnlyOn(bed, "b");
    assertAllTrue(go());
  }

  private static void assertPathIsOnlyOn(Testbed bed, String host) {
    Await.until(
        Duration.ofSeconds(10),
        () -> PATH + " is on " + host + " only",
        () ->
            bed.hosts().stream()
                .allMatch(
                    one -> (bed.exec(one, "test", "-S", PATH).exit() == 0) == one.equals(host)));
  }

  @Test
  void aNameThatIsTakenIsRefused(Testbed bed) throws IOException {
    Daemon tree = start(bed, "listener");
    bed.exec("b", "touch", PATH).orFail();

    Exile.migrate(bed, "a", tree.pid(), "b")
        .assertFails("refused", PATH + " cannot be made on b: there is a file of that name");

    assertAllTrue(go());
  }

  @Test
  void datagramsGoToWhoeverReceivesThemThere(Testbed bed) throws IOException {
    Path atHome = receiver(bed, "a");
    Daemon tree = start(bed, "log", LOG);
    Exile.migrate(bed, "a", tree.pid(), "b").assertFails("refused", LOG, "which b does not have");
    Path there = receiver(bed, "b");

    move(bed, tree);

    assertAllTrue(go());
    Await.until(
        Duration.ofSeconds(10),
        () -> "two datagrams at b, but: " + Proc.read(there),
        () -> Proc.read(there).lines().count() == 2);
    assertEquals(List.of("connected after", "free after"), Files.readAllLines(there));
    assertEquals(List.of("connected before", "free before"), Files.readAllLines(atHome));
  }

  @Test
  void aStreamToAProcessThatStaysIsRefusedByName(Testbed bed) throws IOException {
    Daemon stayer =
        bed.daemon(
            "a",
            "/usr/bin/python3",
            "-c",
            """
            import socket
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind("%s")
            listener.listen()
            kept = listener.accept()[0]
            kept.recv(100)
            kept.recv(100)
            """
                .formatted(PATH));
    Await.until(
        Duration.ofSeconds(10),
        () -> PATH + " is there",
        () -> bed.exec("a", "test", "-S", PATH).exit() == 0);
    Daemon tree = start(bed, "stream", PATH);

    Exile.migrate(bed, "a", tree.pid(), "b")
        .assertFails(
            "refused",
            "descriptor 3 of process " + tree.pid() + " (python3) is a unix socket connected to",
            "process " + stayer.pid() + " (python3)",
            PATH);

    assertAllTrue(go());
  }

  @Test
  void aConnectionThatAStrangerWaitsForIsRefused(Testbed bed) throws IOException {
    Daemon tree = start(bed, "listener");
    Daemon stranger =
        bed.daemon(
            "a",
            "/usr/bin/python3",
            "-c",
            """
            import socket
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.connect("%s")
            open("%s", "w").close()
            client.recv(100)
            client.recv(100)
            """
                .formatted(PATH, file + ".connected"));
    await("connected");

    Exile.migrate(bed, "a", tree.pid(), "b")
        .assertFails(
            "refused",
            "listens at " + PATH,
            "a connection from process " + stranger.pid() + " (python3) waits there");

    stranger.kill();
    tree.kill();
  }

  /** Writes each datagram as a line. */
  private Path receiver(Testbed bed, String host) {
    Path lines = file.resolveSibling("log-" + host);
    bed.daemon(
        host,
        "/usr/bin/python3",
        "-c",
        """
        import socket
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.bind("%s")
        with open("%s", "w") as out:
            while True:
                print(log.recv(100).decode(), file=out, flush=True)
        """
            .formatted(LOG, lines));
    Await.until(Duration.ofSeconds(10), () -> lines + " is there", () -> Files.exists(lines));
    return lines;
  }

  private Daemon start(Testbed bed, Object... mode) {
    Object[] arguments = new Object[mode.length + 1];
    arguments[0] = file;
    System.arraycopy(mode, 0, arguments, 1, mode.length);
    Daemon tree = bed.python("a", "unix_tree.py", arguments);
    await("ready");
    return tree;
  }

  private static void move(Testbed bed, Daemon tree) {
    Exile.move(bed, tree, "b");
  }

  private JsonNode go() throws IOException {
    Files.createFile(Path.of(file + ".go"));
    return new ObjectMapper().readTree(await("out").toFile());
  }

  private Path await(String kind) {
    Path told = Path.of(file + "." + kind);
    Path error = Path.of(file + ".error");
    Await.until(
        Duration.ofSeconds(20), () -> told + ": " + Proc.read(error), () -> Files.exists(told));
    return told;
  }

  private static void assertAllTrue(JsonNode facts) {
    assertTrue(facts.size() > 0);
    facts.forEach(fact -> assertTrue(fact.asBoolean(), facts::toString));
  }
}
