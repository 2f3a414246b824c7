package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever goes wrong before COMMIT, the process runs on at home and its clients do not notice. */
@Hosts(frailCriu = true, agentOptions = FaultPoint.OPTION)
class FaultIT {
  private static final Duration AT_ONCE = Duration.ofSeconds(5);

  @AfterEach
  void agentsAreSoundAgain(Testbed bed) throws IOException {
    bed.endWorkloads();
    for (String host : new String[] {"a", "b"}) {
      Files.deleteIfExists(bed.run(host).resolve("criu-fault"));
      FaultPoint.disarm(bed, host);
      if (!bed.agentRuns(host)) {
        bed.agentStart(host);
      }
    }
  }

  @Test
  void destinationRefuses(Testbed bed) {
    bed.python("b", "seeded_server.py", "0.0.0.0", Servers.REDIS_PORT);
    bed.awaitListening("b", Servers.REDIS_PORT);
    LoadedRedis redis = new LoadedRedis(bed);

    redis.migrate().assertFails("refused", "6379", "b");

    redis.assertRunsOnAtHome();
    redis.assertUnharmed();
  }

  @Test
  void executableIsMissingAtTheDestination(Testbed bed) throws IOException {
    // A host's /run is its own.
    Path copy = bed.run("a").resolve("redis-only-here");
    Files.copy(
        Path.of("/usr/bin/redis-server").toRealPath(),
        copy,
        StandardCopyOption.COPY_ATTRIBUTES,
        StandardCopyOption.REPLACE_EXISTING);
    LoadedRedis redis = new LoadedRedis(bed, "/run/redis-only-here");

    redis.migrate().assertFails("refused", "/run/redis-only-here");

    redis.assertRunsOnAtHome();
    redis.assertUnharmed();
  }

  @ParameterizedTest
  @CsvSource({"a, dump, asked to fail", "a, dump-late, asked to fail", "b, restore, Error"})
  void criuFails(String host, String fault, String cause, Testbed bed) throws IOException {
    LoadedRedis redis = new LoadedRedis(bed);
    Files.writeString(bed.run(host).resolve("criu-fault"), fault);

    redis.migrate().assertFails("rolled-back", cause, ".log");

    redis.assertRunsOnAtHome();
    Files.delete(bed.run(host).resolve("criu-fault"));
    redis.assertMovesUnharmed();
  }

  @ParameterizedTest
  @ValueSource(strings = {"dest.restoring", "dest.restored"})
  void destinationsAgentIsKilled(String point, Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    new FaultPoint(point, "halt").arm(bed, "b");

    redis.migrate().assertFails("rolled-back", "b");

    assertFalse(bed.agentRuns("b"), "the agent of b was to be killed");
    FaultPoint.disarm(bed, "b");
    bed.agentStart("b"); // it cleans up
    redis.assertRunsOnAtHome();
    redis.assertMovesUnharmed();
  }

  @Test
  void destinationsAgentIsKilledInTheMiddleOfTheTransfer(Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    FaultPoint pause = new FaultPoint("home.transferring", "pause");
    pause.arm(bed, "a");
    Exile.Running migration = redis.startMigration();
    pause.awaitReached(bed, "a");
    // It takes what fits into the sockets' buffers, which is less than the images.
    bed.agentStop("b", "STOP");
    FaultPoint.disarm(bed, "a");
    Await.until(
        AT_ONCE,
        () -> "the transfer begins",
        () -> Exile.latest(bed, "a").path("migration").asText().equals("TRANSFERRING"));

    bed.agentStop("b", "KILL");

    migration.await().assertFails("rolled-back", "b");
    bed.agentStart("b");
    redis.assertRunsOnAtHome();
    redis.assertMovesUnharmed();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "home.freezing",
        "home.dumping",
        "home.transferring",
        "home.restoring",
      })
  void homesAgentIsKilledInExile(String point, Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    new FaultPoint(point, "halt").arm(bed, "a");

    Exile.Outcome outcome = redis.migrate();

    assertEquals(3, outcome.exit(), outcome.result()::toString);
    assertFalse(bed.agentRuns("a"), "the agent of a was to be killed");
    Await.until(
        AT_ONCE,
        () -> "it runs at home: " + redis.server().copies("a"),
        () -> redis.server().copies("a").stream().anyMatch(Proc::running));
    FaultPoint.disarm(bed, "a");
    bed.agentStart("a");
    redis.assertRunsOnAtHome();
    redis.assertMovesUnharmed();
  }

  /** From here on only the journal may thaw: COMMIT may be on disk, or not. */
  @Test
  void homesAgentIsKilledJustBeforeCommit(Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    new FaultPoint("home.committed", "halt").arm(bed, "a");

    Exile.Outcome outcome = redis.migrate();

    assertEquals(3, outcome.exit(), outcome.result()::toString);
    assertEquals(List.of(), redis.server().copies("a").stream().filter(Proc::running).toList());
    assertEquals(List.of(), redis.server().copies("b").stream().filter(Proc::running).toList());
    FaultPoint.disarm(bed, "a");
    bed.agentStart("a");
    redis.assertRunsOnAtHome();
    redis.assertMovesUnharmed();
  }

  @ParameterizedTest
  @ValueSource(strings = {"home.dumping", "home.transferring", "home.restoring"})
  void commandLineIsKilled(String point, Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, "a");
    Exile.Running migration = redis.startMigration();
    pause.awaitReached(bed, "a");

    bed.processes("a").stream()
        .filter(process -> process.command().contains("exile.jar migrate"))
        .forEach(
            process -> ProcessHandle.of(process.pid()).ifPresent(ProcessHandle::destroyForcibly));
    migration.await();

    redis.assertRunsOnAtHome();
    FaultPoint.disarm(bed, "a");
    redis.assertMovesUnharmed();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "home.preparing",
        "home.freezing",
        "home.dumping",
        "home.transferring",
        "home.restoring"
      })
  void migrationIsCancelled(String point, Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, "a");
    Exile.Running migration = redis.startMigration();
    pause.awaitReached(bed, "a");

    Exile.run(bed, "a", "cancel", Exile.latest(bed, "a").path("id").asText()).result().orFail();

    migration.await().assertFails("rolled-back", "cancel");
    redis.assertRunsOnAtHome();
    FaultPoint.disarm(bed, "a");
    redis.assertMovesUnharmed();
  }

  @Test
  void interruptedCommandLineRollsBack(Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    FaultPoint pause = new FaultPoint("home.transferring", "pause");
    pause.arm(bed, "a");
    Exile.Running migration = redis.startMigration();
    pause.awaitReached(bed, "a");

    bed.exec("a", "pkill", "-INT", "-f", "exile.jar migrate").orFail();

    migration.await().assertFails("rolled-back", "cancel");
    redis.assertRunsOnAtHome();
    FaultPoint.disarm(bed, "a");
    redis.assertMovesUnharmed();
  }

  @Test
  void agentThatIsStoppedInExileRollsBackFirst(Testbed bed) {
    LoadedRedis redis = new LoadedRedis(bed);
    FaultPoint pause = new FaultPoint("home.transferring", "pause");
    pause.arm(bed, "a");
    Exile.Running migration = redis.startMigration();
    pause.awaitReached(bed, "a");

    bed.agentStop("a", "TERM");

    migration.await().assertFails("rolled-back", "stopped");
    redis.server().assertRunsOnlyOn("a");
    FaultPoint.disarm(bed, "a");
    bed.agentStart("a");
    redis.assertRunsOnAtHome();
    redis.assertMovesUnharmed();
  }
}
