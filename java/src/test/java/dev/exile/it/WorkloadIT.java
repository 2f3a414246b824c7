package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The judges are judged: clients of the other tests, against servers that stay where they are. */
@Hosts(
    agents = false,
    value = {"a", "c"})
class WorkloadIT {

  @Test
  void redisClientsAreContentWithRedis(Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");
    String before =
        redisLoad(bed, "fill", "--megabytes", 20).finishUnharmed().get("sha256").asText();
    Workload busy = redisLoad(bed, "incr", "--connections", 50, "--rate", 20);
    Workload newcomers = redisLoad(bed, "connect");
    busy.awaitMore("answered", 1000);
    newcomers.awaitMore("answered", 50);
    busy.finishUnharmed();
    assertEquals(0, newcomers.finishUnharmed().path("refused").asInt());
    assertEquals(
        before,
        redisLoad(bed, "verify", "--megabytes", 20).finishUnharmed().get("sha256").asText());
    redis.assertRunsOnlyOn("a");
  }

  @Test
  void webClientsAreContentWithNginx(Testbed bed) {
    Servers.nginx(bed, "a");
    Workload download = httpLoad(bed, "--rate", 40, "download");
    Workload browsers = httpLoad(bed, "--connections", 5, "get");
    browsers.awaitMore("answered", 100);
    download.finishUnharmed();
    browsers.finishUnharmed();
  }

  @Test
  void echoClientsAreContentWithTheJvm(Testbed bed) {
    Servers.javaEcho(bed, "a");
    Workload load = Workload.start(bed, "c", "echo_load.py", "--host", bed.ip("a"));
    load.awaitMore("answered", 100);
    load.finishUnharmed();
  }

  @ParameterizedTest
  @CsvSource({"incr, 0", "connect, 1"})
  void serverThatDiesIsNoticed(String mode, int refused, Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");
    Workload load = redisLoad(bed, mode);

    redis.kill();

    Await.until(
        java.time.Duration.ofSeconds(10),
        () -> "an error is counted",
        () -> load.report().path("errorCount").asInt() > 0);
    // A request need not have been on its way; who connects anew is refused.
    JsonNode summary = load.finish();
    assertTrue(summary.path("refused").asInt() >= refused, summary::toString);
  }

  @Test
  void serverThatForgetsIsNoticed(Testbed bed) {
    Servers.redis(bed, "a");
    Workload load = redisLoad(bed, "incr");

    bed.exec("c", "redis-cli", "-h", bed.ip("a"), "flushall").orFail();

    Await.until(
        java.time.Duration.ofSeconds(10),
        () -> "a wrong answer is counted",
        () -> load.report().path("wrong").asInt() > 0);
    assertEquals(0, load.finish().path("lost").asInt());
  }

  @Test
  void processLeftBehindIsNoticed(Testbed bed) {
    String pid =
        bed.exec("a", "sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!")
            .orFail()
            .out()
            .strip();
    Await.until(
        java.time.Duration.ofSeconds(10),
        () -> "sleep is found: " + bed.leftovers(),
        () -> bed.leftovers().stream().anyMatch(line -> line.contains("sleep")));
    bed.exec("a", "kill", pid).orFail();
  }

  private static Workload redisLoad(Testbed bed, String mode, Object... options) {
    return Workload.redis(bed, "c", "a", mode, options);
  }

  private static Workload httpLoad(Testbed bed, Object... options) {
    List<Object> arguments = new java.util.ArrayList<>(List.of("--host", bed.ip("a")));
    arguments.addAll(List.of(options));
    return Workload.start(bed, "c", "http_load.py", arguments.toArray());
  }
}
