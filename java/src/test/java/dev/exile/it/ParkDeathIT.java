package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The parker of either host is killed while a busy server moves and after it has moved: no byte is
 * lost, no connection is reset, and the next parker is as good as the first.
 */
@Hosts(
    value = {"a", "b", "c"},
    agentOptions = FaultPoint.OPTION)
class ParkDeathIT {
  private static final String REFILLED = "the new parker has all";

  @AfterEach
  void agentsAreSound(Testbed bed) {
    FaultPoint.disarm(bed, "a");
    FaultPoint.disarm(bed, "b");
  }

  @ParameterizedTest
  @CsvSource({
    "a, a, home.freezing", // nothing is parked yet
    "a, a, home.dumping",
    "a, a, home.committed",
    "b, b, dest.restoring",
    "b, b, dest.restored",
    "b, a, home.committed"
  })
  void aMoveSucceedsAlthoughAParkerIsKilled(String host, String paused, String point, Testbed bed) {
    Daemon server = Servers.pythonEcho(bed, "a", "0.0.0.0");
    Workload load = load(bed, 25);
    load.awaitMore("answered", 300);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, paused);
    Exile.Running migration = start(bed, server);
    pause.awaitReached(bed, paused);

    Resident.kill(bed, host, Resident.PARK);
    FaultPoint.disarm(bed, paused); // it goes on before there is another parker

    assertEquals("migrated", migration.await().json().path("outcome").asText());
    server.assertRunsOnlyOn("b");
    load.awaitMore("answered", 300);
    load(bed, 5).finishUnharmed();
    load.finishUnharmed();
  }

  @ParameterizedTest
  @ValueSource(strings = {"a", "b"})
  void theNextParkerIsAsGoodAsTheFirst(String host, Testbed bed) {
    Daemon server = Servers.pythonEcho(bed, "a", "0.0.0.0");
    Workload load = load(bed, 25);
    Exile.move(bed, server, "b");
    Workload since = load(bed, 5);

    killUnderLoad(bed, host, load);
    bed.agentStop(host, "KILL"); // all that the next agent gets is what the next parker has
    bed.agentStart(host);
    load.awaitMore("answered", 300);
    killUnderLoad(bed, host, load);

    load(bed, 5).finishUnharmed();
    since.finishUnharmed();
    load.finishUnharmed();
    server.assertRunsOnlyOn("b");
  }

  private static void killUnderLoad(Testbed bed, String host, Workload load) {
    Resident.untilLogged(bed, host, REFILLED, () -> Resident.kill(bed, host, Resident.PARK));
    load.awaitMore("answered", 300);
  }

  @ParameterizedTest
  @CsvSource({"a, home.dumping", "b, home.restoring"})
  void aRollbackLeavesNoTraceWhenAParkerIsKilled(String host, String point, Testbed bed) {
    Daemon server = Servers.pythonEcho(bed, "a", "0.0.0.0");
    Workload load = load(bed, 25);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, "a");
    Exile.Running migration = start(bed, server);
    pause.awaitReached(bed, "a");

    Resident.kill(bed, host, Resident.PARK);
    bed.exec("a", "pkill", "-INT", "-f", "exile.jar migrate").orFail();

    migration.await().assertFails("rolled-back", "cancel");
    server.assertRunsOnlyOn("a");
    load.awaitMore("answered", 300);
    load.finishUnharmed();
  }

  private static Exile.Running start(Testbed bed, Daemon server) {
    return Exile.start(bed, "a", "migrate", "" + server.pid(), "--to", "b", "-o", "json");
  }

  private static Workload load(Testbed bed, int connections) {
    return Workload.start(
        bed,
        "c",
        "echo_load.py",
        "--host",
        bed.ip("a"),
        "--connections",
        connections,
        "--rate",
        20);
  }
}
