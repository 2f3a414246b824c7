package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;

@Hosts
class RedisIT {
  private static final int MEGABYTES = 200;

  @Test
  void movesWith200MegabytesAndFiftyBusyClients(Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");
    String before = data(bed, "fill", "a");
    Workload busy = redisLoad(bed, "a", "incr", "--connections", 50, "--rate", 40, "--pipeline", 4);
    Workload newcomers = redisLoad(bed, "a", "connect");
    busy.awaitMore("answered", 2000);

    JsonNode moved = Exile.move(bed, redis, "b");

    busy.awaitMore("answered", 5000);
    newcomers.awaitMore("answered", 200);
    busy.finishUnharmed();
    JsonNode opened = newcomers.finishUnharmed();
    assertEquals(0, opened.path("refused").asInt(), opened::toString);
    assertEquals(before, data(bed, "verify", "a"));
    assertTrue(moved.path("bytesTransferred").asLong() > MEGABYTES << 20, moved::toString);
    assertTrue(moved.path("sockets").path("established").asInt() >= 50, moved::toString);
    assertEquals(2, moved.path("sockets").path("listening").asInt(), moved::toString);
  }

  @Test
  void takesNewConnectionsAtBothHostsAfterTheMove(Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");
    Workload kept = redisLoad(bed, "a", "incr", "--connections", 2);

    Exile.move(bed, redis, "b");

    Workload home = redisLoad(bed, "a", "incr", "--key", "home");
    Workload destination = redisLoad(bed, "b", "incr", "--key", "destination");
    Workload neighbour =
        Workload.start(bed, "b", "redis_load.py", "--host", bed.ip("a"), "--key", "near", "incr");
    home.awaitMore("answered", 200);
    destination.awaitMore("answered", 200);
    neighbour.awaitMore("answered", 200);
    kept.finishUnharmed();
    home.finishUnharmed();
    destination.finishUnharmed();
    neighbour.finishUnharmed();
  }

  @Test
  void isFoundByItsName(Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");

    Exile.Outcome outcome = Exile.migrate(bed, "a", "redis-server", "b");

    assertEquals(0, outcome.exit(), outcome.result()::toString);
    redis.assertRunsOnlyOn("b");
  }

  private static String data(Testbed bed, String mode, String server) {
    JsonNode summary = redisLoad(bed, server, mode, "--megabytes", MEGABYTES).finishUnharmed();
    return summary.path("sha256").asText();
  }

  private static Workload redisLoad(Testbed bed, String server, String mode, Object... options) {
    return Workload.redis(bed, "c", server, mode, options);
  }
}
