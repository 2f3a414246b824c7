package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Whatever goes wrong before the COMMIT of a further leg, the process runs on where it is; after
 * it, at the next host. Its clients do not notice.
 */
@Hosts(
    value = {"a", "b", "c", "d"},
    frailCriu = true,
    agentOptions = FaultPoint.OPTION)
class HopFaultIT {
  private static final Duration SOON = Duration.ofSeconds(20);

  private Daemon redis;
  private Workload busy;

  private void runAtB(Testbed bed) {
    redis = Servers.redis(bed, "a");
    busy = Workload.redis(bed, "d", "a", "incr", "--connections", 5, "--rate", 40);
    Exile.move(bed, redis, "b");
    busy.awaitMore("answered", 50);
  }

  private Exile.Outcome hop(Testbed bed) {
    return Exile.migrate(bed, "a", redis.pid(), "c");
  }

  private void assertRunsAt(String host) {
    redis.assertRunsOnlyOn(host);
    busy.awaitMore("answered", 50);
  }

  /** Asserts that the leg succeeds now, and that no client was harmed by all that happened. */
  private void assertMovesOnUnharmed(Testbed bed) {
    Exile.Outcome outcome = hop(bed);
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    assertRunsAt("c");
    busy.finishUnharmed();
  }

  @AfterEach
  void agentsAreSoundAgain(Testbed bed) throws IOException {
    bed.endWorkloads();
    FaultPoint.heal(bed, "a", "b", "c");
  }

  @Test
  void theNextHostRefuses(Testbed bed) {
    Daemon other = bed.python("c", "seeded_server.py", "0.0.0.0", Servers.REDIS_PORT);
    bed.awaitListening("c", Servers.REDIS_PORT);
    runAtB(bed);

    hop(bed).assertFails("refused", "6379", "c");

    assertRunsAt("b");
    other.kill();
    busy.finishUnharmed();
  }

  @ParameterizedTest
  @CsvSource({"b, dump-late, asked to fail", "c, restore, Error"})
  void criuFails(String host, String fault, String cause, Testbed bed) throws IOException {
    runAtB(bed);
    Files.writeString(bed.run(host).resolve("criu-fault"), fault);

    hop(bed).assertFails("rolled-back", cause, ".log");

    assertRunsAt("b");
    Files.delete(bed.run(host).resolve("criu-fault"));
    assertMovesOnUnharmed(bed);
  }

  @ParameterizedTest
  @CsvSource({"b, leave.transferring", "c, dest.restored"})
  void anAgentIsKilled(String host, String point, Testbed bed) {
    runAtB(bed);
    new FaultPoint(point, "halt").arm(bed, host);

    hop(bed).assertFails("rolled-back", host);

    assertFalse(bed.agentRuns(host), "the agent of " + host + " was to be killed");
    FaultPoint.disarm(bed, host);
    bed.agentStart(host);
    assertRunsAt("b");
    assertMovesOnUnharmed(bed);
  }

  /** Before its COMMIT: the process runs on at once, and where it is. */
  @ParameterizedTest
  @ValueSource(strings = {"hop.restoring", "hop.committed"})
  void homesAgentIsKilled(String point, Testbed bed) {
    runAtB(bed);
    new FaultPoint(point, "halt").arm(bed, "a");

    assertEquals(3, hop(bed).exit());

    assertFalse(bed.agentRuns("a"), "the agent of a was to be killed");
    FaultPoint.disarm(bed, "a");
    bed.agentStart("a");
    assertRunsAt("b");
    assertMovesOnUnharmed(bed);
  }

  /** After its COMMIT, of which nobody else has heard. */
  @Test
  void homesAgentIsKilledAfterItsCommit(Testbed bed) {
    runAtB(bed);
    new FaultPoint("hop.settling", "halt").arm(bed, "a");

    assertEquals(3, hop(bed).exit());

    FaultPoint.disarm(bed, "a");
    bed.agentStart("a");
    assertRunsAt("c");
    Await.until(SOON, () -> "b has let it go", () -> redis.copies("b").isEmpty());
    busy.finishUnharmed();
  }

  /** Its COMMIT does not reach the next host: the command says so, and home goes on asking. */
  @Test
  void theNextHostIsGoneAtTheCommit(Testbed bed) {
    runAtB(bed);
    new FaultPoint("dest.committed", "halt").arm(bed, "c");

    Exile.Outcome outcome = hop(bed);

    assertEquals(3, outcome.exit(), outcome.result()::toString);
    assertEquals("in-doubt", outcome.json().path("outcome").asText());
    String id = outcome.json().path("id").asText();
    assertEquals("IN_DOUBT", state(bed, id));
    FaultPoint.disarm(bed, "c");
    bed.agentStart("c");
    Await.until(SOON, () -> "it is settled", () -> state(bed, id).equals("FORWARDING"));
    assertRunsAt("c");
    busy.finishUnharmed();
  }

  private static String state(Testbed bed, String id) {
    return Exile.run(bed, "a", "show", id, "-o", "json").json().path("state").asText();
  }
}
