package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The parent at home sees what becomes of its child, wherever that runs. */
@Hosts(
    value = {"a", "b"},
    agentOptions = FaultPoint.OPTION)
class ParentIT {
  private static final Duration SOON = Duration.ofSeconds(10);

  @AfterEach
  void agentsAreSound(Testbed bed) {
    FaultPoint.disarm(bed, "a");
    FaultPoint.disarm(bed, "b");
  }

  /** A process whose parent, a shell, writes down how it ended. */
  private static final class Child {
    private final Testbed bed;
    private final Path pidFile;
    private final Process shell;

    Child(Testbed bed) {
      this.bed = bed;
      pidFile = bed.work().resolve("pid");
      String program = String.join(" ", Workload.python("ends.py", pidFile));
      shell = bed.spawn("a", List.of("sh", "-c", program + " </dev/null >/dev/null 2>&1; echo $?"));
      Await.until(SOON, () -> "the child starts", () -> Files.exists(pidFile));
    }

    int pid() {
      return Integer.parseInt(Proc.read(pidFile));
    }

    JsonNode move() {
      Exile.Outcome outcome = Exile.migrate(bed, "a", pid(), "b");
      assertEquals(0, outcome.exit(), outcome.result()::toString);
      return outcome.json();
    }

    /** Sends a signal in a host, to every process there that is this one. */
    void signal(String host, String name) {
      List<Proc> found = bed.processes(host, pid());
      assertEquals(1, found.size(), found::toString);
      Commands.run(Map.of(), List.of("kill", "-" + name, Integer.toString(found.get(0).pid())))
          .orFail();
    }

    char state(String host) {
      return bed.processes(host, pid()).stream().map(Proc::state).findFirst().orElse('-');
    }

    int status() throws Exception {
      assertTrue(shell.waitFor(SOON.toSeconds(), TimeUnit.SECONDS), "hangs");
      Files.delete(pidFile);
      return Integer.parseInt(shell.inputReader().readLine().strip());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "a, USR1, 7", "a, SEGV, 139", "a, KILL, 137", "a, TERM, 143",
    "b, USR1, 7", "b, SEGV, 139", "b, KILL, 137", "b, TERM, 143"
  })
  void theParentSeesTheStatusOfAProcessThatHasMoved(
      String host, String signal, int status, Testbed bed) throws Exception {
    Child child = new Child(bed);
    child.move();

    child.signal(host, signal);

    assertEquals(status, child.status());
  }

  @Test
  void stopsAndContinuesWithItsDeputy(Testbed bed) throws Exception {
    Child child = new Child(bed);
    child.move();

    child.signal("a", "STOP");
    Await.until(SOON, () -> "it stops on b", () -> child.state("b") == 'T');
    assertEquals('t', child.state("a")); // it is watched while it stands

    child.signal("a", "CONT");
    Await.until(SOON, () -> "it goes on on b", () -> child.state("b") == 'S');
    Await.until(SOON, () -> "its deputy goes on", () -> child.state("a") == 'S');

    child.signal("b", "STOP");
    Await.until(SOON, () -> "its deputy stops", () -> child.state("a") == 't');
    child.signal("b", "CONT");
    Await.until(SOON, () -> "its deputy goes on", () -> child.state("a") == 'S');

    child.signal("b", "STOP");
    Await.until(SOON, () -> "its deputy stops", () -> child.state("a") == 't');
    child.signal("b", "USR1");
    child.signal("b", "KILL");
    assertEquals(137, child.status());
  }

  @Test
  void whatIsContinuedWhileHomesAgentIsAwayGoesOn(Testbed bed) throws Exception {
    Child child = new Child(bed);
    child.move();
    child.signal("b", "STOP");
    Await.until(SOON, () -> "its deputy stops", () -> child.state("a") == 't');
    bed.agentStop("a", "KILL");

    child.signal("b", "CONT");
    Await.until(SOON, () -> "it goes on on b", () -> child.state("b") == 'S');
    bed.agentStart("a");

    Await.until(SOON, () -> "its deputy goes on", () -> child.state("a") == 'S');
    child.signal("a", "USR1");
    assertEquals(7, child.status());
  }

  @Test
  void whatIsStoppedWhileHomesAgentIsAwayStops(Testbed bed) throws Exception {
    Child child = new Child(bed);
    child.move();
    bed.agentStop("a", "KILL");

    child.signal("a", "STOP");
    Await.until(SOON, () -> "its deputy stops", () -> child.state("a") == 'T');
    bed.agentStart("a");

    Await.until(SOON, () -> "it stops on b", () -> child.state("b") == 'T');
    child.signal("a", "CONT");
    child.signal("a", "USR1");
    assertEquals(7, child.status());
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
  void killedOnItsWayTheOutcomeIsExited(String point, Testbed bed) throws Exception {
    Child child = new Child(bed);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, "a");
    Exile.Running migration =
        Exile.start(bed, "a", "migrate", "" + child.pid(), "--to", "b", "-o", "json");
    pause.awaitReached(bed, "a");

    child.signal("a", "KILL");

    FaultPoint.disarm(bed, "a");
    Exile.Outcome outcome = migration.await();
    assertEquals("exited", outcome.json().path("outcome").asText(), outcome.result()::toString);
    assertEquals(137, child.status());
  }

  @Test
  void killedAtHomeOnceCommittedItEndsAtTheDestination(Testbed bed) throws Exception {
    Child child = new Child(bed);
    FaultPoint pause = new FaultPoint("home.committed", "pause");
    pause.arm(bed, "a");
    Exile.Running migration =
        Exile.start(bed, "a", "migrate", "" + child.pid(), "--to", "b", "-o", "json");
    pause.awaitReached(bed, "a");

    child.signal("a", "KILL");

    FaultPoint.disarm(bed, "a");
    assertEquals(0, migration.await().exit());
    assertEquals(137, child.status());
    Await.until(SOON, () -> "it is killed on b", () -> bed.leftovers().isEmpty());
  }

  @Test
  void anExitBeforeTheFreezeIsTheOutcome(Testbed bed) throws Exception {
    Child child = new Child(bed);
    FaultPoint pause = new FaultPoint("home.freezing", "pause");
    pause.arm(bed, "a");
    Exile.Running migration =
        Exile.start(bed, "a", "migrate", "" + child.pid(), "--to", "b", "-o", "json");
    pause.awaitReached(bed, "a");

    child.signal("a", "USR1");
    int status = child.status();
    FaultPoint.disarm(bed, "a");

    migration.await().assertFails("exited");
    assertEquals(7, status);
  }

  @ParameterizedTest
  @ValueSource(strings = {"home.dumping", "home.transferring", "home.restoring"})
  void aSignalSentOnTheWayEndsItWhereItRuns(String point, Testbed bed) throws Exception {
    Child child = new Child(bed);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, "a");
    Exile.Running migration =
        Exile.start(bed, "a", "migrate", "" + child.pid(), "--to", "b", "-o", "json");
    pause.awaitReached(bed, "a");
    child.signal("a", "USR1");
    FaultPoint.disarm(bed, "a");

    assertEquals(0, migration.await().exit());
    assertEquals(7, child.status());
  }

  @Test
  void aSignalSentOnTheWayIsDeliveredAtHomeAfterARollback(Testbed bed) throws Exception {
    Child child = new Child(bed);
    FaultPoint pause = new FaultPoint("home.restoring", "pause");
    pause.arm(bed, "a");
    Exile.Running migration =
        Exile.start(bed, "a", "migrate", "" + child.pid(), "--to", "b", "-o", "json");
    pause.awaitReached(bed, "a");
    child.signal("a", "USR1");
    String id = Exile.latest(bed, "a").path("id").asText();
    Exile.run(bed, "a", "cancel", id).result().orFail();

    migration.await().assertFails("rolled-back");
    assertEquals(7, child.status());
  }
}
