package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A process in exile moves on, and comes home; home keeps its sockets and its deputy meanwhile. */
@Hosts({"a", "b", "c", "d"})
class HopsIT {
  private static final int JOURNEYS = Integer.getInteger("exile.journeys", 2);
  private static final Duration SOON = Duration.ofSeconds(20);

  /** More than agents need to tell each other how things stand, less than any load takes. */
  private static final long TALK_BYTES = 100_000;

  @Test
  void makesATourOfFourLegsUnderLoad(Testbed bed) throws InterruptedException {
    Daemon redis = Servers.redis(bed, "a");
    Workload busy = load(bed, "incr", "--connections", 20, "--rate", 40, "--pipeline", 4);
    Workload newcomers = load(bed, "connect");
    String before = data(bed, "fill");

    String id = Exile.move(bed, redis, "b").path("id").asText();
    busy.awaitMore("answered", 300);
    Exile.hop(bed, "b", redis, "c");
    busy.awaitMore("answered", 300);

    long b = bytes(bed, "b");
    long c = bytes(bed, "c");
    TimeUnit.SECONDS.sleep(1);
    busy.awaitMore("answered", 2000);
    long carriedByB = bytes(bed, "b") - b;
    long carriedByC = bytes(bed, "c") - c;
    System.out.printf("after b -> c: b carries %d bytes, c %d%n", carriedByB, carriedByC);
    assertTrue(carriedByC > 2 * TALK_BYTES, "c carries " + carriedByC);
    assertTrue(carriedByB < TALK_BYTES, "b carries " + carriedByB);

    Exile.hop(bed, "a", redis, "b"); // asked for at home, by the PID of the deputy
    busy.awaitMore("answered", 300);
    JsonNode shown = Exile.run(bed, "a", "show", id, "-o", "json").json();
    assertEquals("[\"a\",\"b\",\"c\",\"b\"]", shown.path("way").toString());
    assertTrue(shown.path("held").asInt() >= 20, shown::toString);
    assertFelt(shown);
    Exile.recall(bed, "b", id);
    busy.awaitMore("answered", 300);

    long away = bytes(bed, "b") + bytes(bed, "c");
    TimeUnit.SECONDS.sleep(1);
    busy.awaitMore("answered", 2000);
    long carried = bytes(bed, "b") + bytes(bed, "c") - away;
    assertTrue(carried < 2 * TALK_BYTES, "b and c carry " + carried);
    Exile.hop(bed, "a", redis, "c"); // and from home once more
    busy.awaitMore("answered", 300);
    busy.finishUnharmed();
    newcomers.awaitMore("answered", 20);
    JsonNode opened = newcomers.finishUnharmed();
    assertEquals(0, opened.path("refused").asInt(), opened::toString);
    assertEquals(before, data(bed, "verify"));
    redis.kill();
    awaitNothingLeft(bed);
  }

  /** A slow client: all that nginx's workers have written beyond it is in queues. */
  @Test
  void bytesOnTheirWayToTheClientTravelAlong(Testbed bed) {
    Daemon nginx = Servers.nginx(bed, "a");
    Workload download = http(bed, "--rate", 2, "download");
    Workload browsers = http(bed, "--connections", 5, "--rate", 25, "get");
    download.awaitMore("bytes", 1 << 20);

    Exile.move(bed, nginx, "b");
    for (String to : List.of("c", "b")) {
      download.awaitMore("bytes", 1 << 20);
      browsers.awaitMore("answered", 100);
      Exile.hop(bed, "a", nginx, to);
    }

    browsers.awaitMore("answered", 100);
    assertTrue(
        download.report().path("bytes").asLong() < 150 << 20, "the download was over too early");
    assertEquals(200 << 20, download.finishUnharmed().path("bytes").asLong());
    browsers.finishUnharmed();
  }

  /** A server that is stopped: all that its clients have written is in queues. It stays stopped. */
  @Test
  void bytesOnTheirWayToTheProcessTravelAlong(Testbed bed) throws InterruptedException {
    Daemon server = Servers.seeded(bed, "a", "0.0.0.0");
    List<Object> arguments =
        List.of("--host", bed.ip("a"), "--connections", 1, "--rate", 8, "server-ended");
    Workload upload = Workload.start(bed, "d", "half_load.py", arguments.toArray());
    upload.awaitMore("bytes", 1 << 20);
    Exile.move(bed, server, "b");
    upload.awaitMore("bytes", 1 << 20);
    bed.exec("a", "kill", "-STOP", "" + server.pid()).orFail();
    awaitStopped(bed, "b", server);
    TimeUnit.SECONDS.sleep(1); // for the queues to fill

    for (String to : List.of("c", "b")) {
      assertEquals(0, Exile.migrate(bed, "a", server.pid(), to).exit());
      awaitStopped(bed, to, server);
    }

    bed.exec("a", "kill", "-CONT", "" + server.pid()).orFail();
    upload.awaitMore("bytes", 4 << 20);
    upload.finishUnharmed();
  }

  @Test
  void signalsFollowThroughAllLegs(Testbed bed) {
    SignalLog log = SignalLog.start(bed, "a", "tour");
    SignalLog.Storm storm = log.storm(3_000, 14, 7);

    String id = Exile.move(bed, log.process(), "b").path("id").asText();
    Exile.hop(bed, "b", log.process(), "c");
    Exile.hop(bed, "a", log.process(), "b");
    Exile.recall(bed, "a", id);

    storm.assertArrived();
    log.process().kill();
    awaitNothingLeft(bed);
  }

  @Test
  void itsParentSeesHowItEnds(Testbed bed) throws IOException {
    Path pid = bed.work().resolve("child");
    Path status = bed.work().resolve("status");
    bed.spawn(
        "a",
        List.of(
            "sh",
            "-c",
            "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >%s; wait $!; echo $? >%s"
                .formatted(pid, status)));
    Await.until(SOON, () -> "the child starts", () -> !Proc.read(pid).isBlank());
    String child = Proc.read(pid).strip();
    assertEquals(0, Exile.migrate(bed, "a", child, "b").exit());
    assertEquals(0, Exile.migrate(bed, "a", child, "c").exit());

    bed.exec("a", "kill", "-TERM", child).orFail();

    Await.until(SOON, () -> "its end is seen", () -> Files.exists(status));
    Await.until(SOON, () -> "143: " + Proc.read(status), () -> Proc.read(status).equals("143\n"));
    awaitNothingLeft(bed);
  }

  /** Whatever the number of journeys: both agents are as after the first. */
  @Test
  void pingPongLeavesNothingBehind(Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");
    int limit = 300 + 30 * JOURNEYS;
    Workload busy = load(bed, "incr", "--connections", 5, "--rate", 40, "--seconds", limit);
    String id = Exile.move(bed, redis, "b").path("id").asText();
    Footprint afterFirst = null;
    for (int journey = 0; journey < JOURNEYS; journey++) {
      Exile.recall(bed, "a", id);
      busy.awaitMore("answered", 50);
      Exile.hop(bed, "a", redis, "b");
      busy.awaitMore("answered", 50);
      if (journey == 0) {
        afterFirst = Footprint.of(bed);
      }
    }

    System.out.printf("after the first: %s%nafter all: %s%n", afterFirst, Footprint.of(bed));
    Footprint.assertNoMore(afterFirst, bed, SOON);
    busy.finishUnharmed();
    redis.kill();
    awaitNothingLeft(bed);
  }

  /** What is told is of the latest leg. */
  private static void assertFelt(JsonNode shown) {
    JsonNode felt = shown.path("felt");
    assertTrue(felt.path("connections").asInt() >= 20, felt::toString);
    double worst = felt.path("worstMillis").asDouble();
    double frozen = shown.path("frozenMillis").asDouble();
    // After the thaw a host that is busy takes its time to open all streams.
    assertTrue(frozen / 2 < worst && worst < frozen * 2 + 500, shown::toString);
    assertEquals(0, felt.path("resets").asInt(), felt::toString);
    assertTrue(shown.path("bytesTransferred").asLong() > 1 << 20, shown::toString);
    List<String> phases = shown.path("phases").findValuesAsText("name");
    assertTrue(
        phases.containsAll(List.of("freezing", "dumping", "transferring", "restoring")),
        shown::toString);
  }

  private static void awaitNothingLeft(Testbed bed) {
    Await.until(
        SOON, () -> "nothing left over, but: " + bed.leftovers(), () -> bed.leftovers().isEmpty());
  }

  /** What has gone in and out of a host. */
  private static long bytes(Testbed bed, String host) {
    return bed.exec(host, "cat", "/proc/net/dev")
        .out()
        .lines()
        .filter(line -> line.contains(":") && !line.contains("lo:"))
        .mapToLong(HopsIT::bytes)
        .sum();
  }

  private static long bytes(String line) {
    String[] words = line.substring(line.indexOf(':') + 1).strip().split("\\s+", -1);
    return Long.parseLong(words[0]) + Long.parseLong(words[8]);
  }

  private static Workload load(Testbed bed, String mode, Object... options) {
    return Workload.redis(bed, "d", "a", mode, options);
  }

  private static String data(Testbed bed, String mode) {
    return load(bed, mode, "--megabytes", 20).finishUnharmed().path("sha256").asText();
  }

  private static Workload http(Testbed bed, Object... options) {
    List<Object> arguments =
        new ArrayList<>(List.of("--host", bed.ip("a"), "--port", Servers.NGINX_PORT));
    arguments.addAll(List.of(options));
    return Workload.start(bed, "d", "http_load.py", arguments.toArray());
  }

  private static void awaitStopped(Testbed bed, String host, Daemon process) {
    Await.until(
        SOON,
        () -> "it is stopped at " + host + ": " + bed.processes(host, process.pid()),
        () ->
            bed.processes(host, process.pid()).stream()
                .anyMatch(copy -> copy.inCell() && copy.state() == 'T' && !copy.frozen()));
  }
}
