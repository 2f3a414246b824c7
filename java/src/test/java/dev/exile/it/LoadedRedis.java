package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;

/**
 * A redis on a with some data, counting clients and newcomers on c, for tests of what goes wrong.
 */
final class LoadedRedis {
  private static final int MEGABYTES = 30;
  private static final Duration SETTLE = Duration.ofSeconds(15);

  private final Testbed bed;
  private final Daemon redis;
  private final String data;
  private final Workload counting;
  private final Workload connecting;

  LoadedRedis(Testbed bed) {
    this(bed, "redis-server");
  }

  LoadedRedis(Testbed bed, String program) {
    this.bed = bed;
    redis = Servers.redis(bed, "a", program);
    data = data("fill");
    counting = Workload.redis(bed, "c", "a", "incr", "--connections", 5, "--rate", 50);
    connecting = Workload.redis(bed, "c", "a", "connect");
  }

  int pid() {
    return redis.pid();
  }

  Daemon server() {
    return redis;
  }

  Exile.Outcome migrate() {
    return Exile.migrate(bed, "a", pid(), "b");
  }

  Exile.Running startMigration() {
    return Exile.start(bed, "a", "migrate", "" + pid(), "--to", "b", "-o", "json");
  }

  /** Asserts that it runs at home alone, serves all clients, and nothing of a migration is left. */
  void assertRunsOnAtHome() {
    redis.assertRunsOnlyOn("a");
    counting.awaitMore("answered", 100);
    Await.until(
        SETTLE,
        () -> "nothing left over, but: " + bed.leftovers(),
        () -> bed.leftovers().isEmpty());
    assertEquals(0, redis.copies("b").size());
  }

  /** Asserts that a migration succeeds now, and that no client was harmed by all that happened. */
  void assertMovesUnharmed() {
    Exile.move(bed, redis, "b");
    counting.awaitMore("answered", 200);
    assertUnharmed();
  }

  /** Asserts that no client was harmed by all that happened. */
  void assertUnharmed() {
    assertEquals(data, data("verify"));
    counting.finishUnharmed();
    JsonNode opened = connecting.finishUnharmed();
    assertEquals(0, opened.path("refused").asInt(), opened::toString);
  }

  private String data(String mode) {
    return Workload.redis(bed, "c", "a", mode, "--megabytes", MEGABYTES)
        .finishUnharmed()
        .path("sha256")
        .asText();
  }
}
