package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * UDP sockets stay what they are when their process moves: every datagram arrives once and in
 * order, the process sees who has sent it, and answers come from home.
 */
@Hosts(
    agentOptions = FaultPoint.OPTION,
    value = {"a", "b", "c", "d"})
class UdpIT {
  private Path file;

  @BeforeEach
  void chooseFile(Testbed bed) throws IOException {
    file = Files.createTempDirectory(bed.work(), "udp").resolve("server");
  }

  @AfterEach
  void end(Testbed bed) {
    bed.endWorkloads();
  }

  @Test
  void boundSocketsMoveUnderLoad(Testbed bed) {
    Daemon server = everywhere(bed);
    List<Workload> loads =
        List.of(
            load(bed, "c", bed.ip("a"), 5300),
            load(bed, "c", bed.ip("a"), 5301),
            load(bed, "a", "127.0.0.1", 5302),
            load(bed, "b", bed.ip("a"), 5300),
            load(bed, "c", bed.ip6("a"), 5303),
            load(bed, "c", bed.ip6("a"), 5304),
            load(bed, "c", bed.ip("a"), 5305));
    loads.forEach(load -> load.awaitMore("answered", 20));

    Exile.move(bed, server, "b");

    loads.forEach(load -> load.awaitMore("answered", 60));
    load(bed, "c", bed.ip("a"), 5300).finishUnharmed();
    load(bed, "c", bed.ip6("a"), 5303).finishUnharmed();
    loads.forEach(Workload::finishUnharmed);
  }

  /** Ten times as many as a socket usually has room for. */
  @Test
  void aBurstInExileIsHeld(Testbed bed) {
    Daemon server = server(bed, "a", "0.0.0.0/5300");
    new FaultPoint("home.restoring", "pause").arm(bed, "a");
    CompletableFuture<JsonNode> moved =
        CompletableFuture.supplyAsync(() -> Exile.move(bed, server, "b"));
    new FaultPoint("home.restoring", "pause").awaitReached(bed, "a");
    Workload burst = load(bed, "c", bed.ip("a"), 5300, "--burst", 3000);

    FaultPoint.disarm(bed, "a");

    moved.join();
    JsonNode summary = burst.finishUnharmed();
    assertTrue(summary.path("answered").asInt() >= 3000, summary::toString);
  }

  @Test
  void datagramsThatWaitAtTheFreezeComeFirstAndOnce(Testbed bed) throws IOException {
    Daemon server = server(bed, "a", "--hold", "0.0.0.0/5300");
    Waiting client = new Waiting(bed, 20, 10, 2, 50_000);
    client.send();

    Exile.move(bed, server, "b");

    client.send();
    Files.createFile(Path.of(file + ".go"));
    client.assertAnsweredInOrder();
  }

  /** At home, at b, at c and at home again some have come and are not read. */
  @Test
  void datagramsThatWaitAtEachFreezeComeFirstAndOnce(Testbed bed) throws IOException {
    Daemon server = server(bed, "a", "--hold", "0.0.0.0/5300");
    Waiting client = new Waiting(bed, 20, 10, 2, 50_000, 500, 100, 3, 60_000, 5, 10);
    client.send();
    String id = Exile.move(bed, server, "b").path("id").asText();
    client.send();
    Exile.hop(bed, "a", server, "c");
    client.send();
    Exile.recall(bed, "c", id);
    client.send();
    Exile.hop(bed, "a", server, "b");

    client.send();
    Files.createFile(Path.of(file + ".go"));
    client.assertAnsweredInOrder();
  }

  @Test
  void movesOnAndComesHomeUnderLoad(Testbed bed) {
    Daemon server = everywhere(bed);
    List<Workload> loads =
        List.of(
            load(bed, "d", bed.ip("a"), 5300),
            load(bed, "d", bed.ip("a"), 5301),
            load(bed, "a", "127.0.0.1", 5302),
            load(bed, "a", bed.ip("a"), 5300),
            load(bed, "b", bed.ip("a"), 5300),
            load(bed, "c", bed.ip("a"), 5300),
            load(bed, "d", bed.ip6("a"), 5303),
            load(bed, "d", bed.ip6("a"), 5304),
            load(bed, "d", bed.ip("a"), 5305));
    loads.forEach(load -> load.awaitMore("answered", 20));

    String id = Exile.move(bed, server, "b").path("id").asText();
    loads.forEach(load -> load.awaitMore("answered", 20));
    Exile.hop(bed, "b", server, "c");
    loads.forEach(load -> load.awaitMore("answered", 20));
    Exile.recall(bed, "a", id);
    loads.forEach(load -> load.awaitMore("answered", 20));
    Exile.hop(bed, "a", server, "c");

    loads.forEach(load -> load.awaitMore("answered", 60));
    loads.forEach(Workload::finishUnharmed);
    server.kill();
    Await.until(
        Duration.ofSeconds(20),
        () -> "nothing left over, but: " + bed.leftovers(),
        () -> bed.leftovers().isEmpty());
  }

  /** Once before, and once after it has stood still at b and been restored at c. */
  @ParameterizedTest
  @CsvSource({"a, hop.departing", "b, leave.transferring", "a, hop.committed"})
  void afterALegIsUndoneNothingIsMissing(String host, String point, Testbed bed) {
    Daemon server = server(bed, "a", "0.0.0.0/5300", "::/5303");
    List<Workload> loads =
        List.of(load(bed, "d", bed.ip("a"), 5300), load(bed, "d", bed.ip6("a"), 5303));
    Exile.move(bed, server, "b");
    loads.forEach(load -> load.awaitMore("answered", 20));
    new FaultPoint(point, "fail").arm(bed, host);

    Exile.migrate(bed, "a", server.pid(), "c").assertFails("rolled-back");

    FaultPoint.disarm(bed, host);
    server.assertRunsOnlyOn("b");
    loads.forEach(load -> load.awaitMore("answered", 60));
    Exile.hop(bed, "a", server, "c");
    loads.forEach(load -> load.awaitMore("answered", 20));
    loads.forEach(Workload::finishUnharmed);
  }

  @Test
  void connectedSocketsMoveOnAndComeHome(Testbed bed) {
    server(bed, "c", "0.0.0.0/5300", "::/5303");
    Path peer = file.resolveSibling("peer");
    Daemon client =
        bed.python("a", "udp_peer.py", peer, bed.ip("c") + "/5300", bed.ip6("c") + "/5303");
    awaitCount(peer, 50);

    String id = Exile.move(bed, client, "b").path("id").asText();
    awaitCount(peer, count(peer) + 100);
    Exile.hop(bed, "b", client, "d");
    awaitCount(peer, count(peer) + 100);
    Exile.recall(bed, "a", id);
    awaitCount(peer, count(peer) + 100);
  }

  /** Sends numbered datagrams a few at a time, to a server that does not read them yet. */
  private final class Waiting {
    private static final String CLIENT =
        """
        import socket, sys
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(20)
        client.setsockopt(socket.SOL_SOCKET, 33, 32 << 20) # SO_RCVBUFFORCE
        words = list(map(int, sys.argv[3:]))
        total = 0
        for count, size in zip(words[::2], words[1::2]):
            sys.stdin.readline()
            for number in range(total, total + count):
                client.sendto((b"%d" % number).ljust(size, b"."), (sys.argv[1], 5300))
            total += count
            print("sent", flush=True)
        with open(sys.argv[2], "w") as out:
            for _ in range(total):
                data, source = client.recvfrom(70000)
                words = data.split(b" ")
                print(words[0].rstrip(b".").decode(), words[2].decode(), source[0], file=out)
        print("done", flush=True)
        """;

    private final Testbed bed;
    private final Path answers = file.resolveSibling("answers");
    private final BufferedReader out;
    private final BufferedWriter in;
    private int total;

    /**
     * @param times how many are sent at a time, and of how many bytes, in turns
     */
    Waiting(Testbed bed, int... times) {
      this.bed = bed;
      List<String> command =
          new ArrayList<>(
              List.of("/usr/bin/python3", "-c", CLIENT, bed.ip("a"), answers.toString()));
      for (int i = 0; i < times.length; i++) {
        command.add(Integer.toString(times[i]));
        total += i % 2 == 0 ? times[i] : 0;
      }
      Process client = bed.spawn("d", command);
      out = client.inputReader();
      in = client.outputWriter();
    }

    void send() throws IOException {
      in.write("\n");
      in.flush();
      assertEquals("sent", out.readLine());
    }

    void assertAnsweredInOrder() throws IOException {
      assertEquals("done", out.readLine());
      List<String> expected = new ArrayList<>();
      for (int i = 0; i < total; i++) {
        expected.add("%d %d %s".formatted(i, i + 1, bed.ip("a")));
      }
      assertEquals(expected, Files.readAllLines(answers));
    }
  }

  @Test
  void connectedSocketsGoOnAndKeepTheirNames(Testbed bed) throws IOException {
    server(bed, "c", "0.0.0.0/5300", "::/5303");
    Path peer = file.resolveSibling("peer");
    Daemon client =
        bed.python("a", "udp_peer.py", peer, bed.ip("c") + "/5300", bed.ip6("c") + "/5303");
    awaitCount(peer, 50);

    Exile.move(bed, client, "b");

    awaitCount(peer, count(peer) + 200);
  }

  @Test
  void afterARollbackNothingIsMissing(Testbed bed) {
    Daemon server = server(bed, "a", "0.0.0.0/5300", "::/5303");
    Workload four = load(bed, "c", bed.ip("a"), 5300);
    Workload six = load(bed, "c", bed.ip6("a"), 5303);
    new FaultPoint("home.committed", "fail").arm(bed, "a");

    Exile.migrate(bed, "a", server.pid(), "b").assertFails("rolled-back");

    FaultPoint.disarm(bed, "a");
    four.awaitMore("answered", 20);
    four.finishUnharmed();
    six.finishUnharmed();
    server.assertRunsOnlyOn("a");
  }

  @Test
  void agentsMayBeKilledAndOnlyWhatIsUnderWayIsLost(Testbed bed) {
    Daemon server = server(bed, "a", "0.0.0.0/5300");
    Exile.move(bed, server, "b");
    for (String host : List.of("a", "b")) {
      bed.agentStop(host, "KILL");
      bed.agentStart(host);
      JsonNode summary = load(bed, "c", bed.ip("a"), 5300).finishUnharmed();
      assertFalse(summary.path("answered").asInt() == 0);
    }
    server.assertRunsOnlyOn("b");
  }

  /** Bound in every way, each to a port of its own. */
  private Daemon everywhere(Testbed bed) {
    return server(
        bed,
        "a",
        "0.0.0.0/5300",
        bed.ip("a") + "/5301",
        "127.0.0.1/5302",
        "::/5303",
        bed.ip6("a") + "/5304",
        "+0.0.0.0/5305");
  }

  private Daemon server(Testbed bed, String host, Object... arguments) {
    List<Object> all = new ArrayList<>(List.of(file));
    all.addAll(List.of(arguments));
    Daemon server = bed.python(host, "udp_server.py", all.toArray());
    Await.until(
        Duration.ofSeconds(20),
        () -> "udp_server.py is ready",
        () -> Files.exists(Path.of(file + ".ready")));
    return server;
  }

  private static Workload load(
      Testbed bed, String host, String address, int port, Object... options) {
    List<Object> arguments = new ArrayList<>(List.of("--host", address, "--port", port));
    arguments.addAll(List.of("--connections", 1, "--rate", 20));
    arguments.addAll(List.of(options));
    return Workload.start(bed, host, "udp_load.py", arguments.toArray());
  }

  private static int count(Path peer) {
    String text = Proc.read(Path.of(peer + ".count")).strip();
    return text.isEmpty() ? 0 : Integer.parseInt(text);
  }

  private static void awaitCount(Path peer, int goal) {
    Await.until(
        Duration.ofSeconds(30),
        () ->
            "%d answers, but: %d %s"
                .formatted(goal, count(peer), Proc.read(Path.of(peer + ".error"))),
        () -> count(peer) >= goal);
  }
}
