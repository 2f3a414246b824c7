package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * While pages are missing at the destination, the network, home or the destination's agent go away:
 * the process waits and goes on, or it is ended, but it never sees a wrong page.
 */
@Hosts(
    value = {"a", "b"},
    agentOptions = FaultPoint.OPTION)
class LatePagesIT {
  /** Else each point is tried once with each algorithm; all takes some 20 minutes. */
  private static final boolean ALL = Boolean.getBoolean("exile.memory.late");

  private static final int MEGABYTES = Integer.getInteger("exile.memory.late.megabytes", 16);

  /** So narrow that pages are missing for some seconds. */
  private static final String RATE = MEGABYTES / 8 + "M";

  private static final Duration SOON = Duration.ofSeconds(20);
  private static final Duration ARRIVAL = Duration.ofSeconds(90);

  /** Longer than connections of the agents' live without an answer. */
  private static final long CUT_MILLIS = Long.getLong("exile.it.cut", 12_000);

  private static final long BRIEFLY_MILLIS = 2_000;

  private PatternProgram program;
  private String id;

  @AfterEach
  void allIsSoundAgain(Testbed bed) throws IOException {
    bed.join("b");
    FaultPoint.heal(bed, "a", "b");
  }

  /** What goes away, and comes back. */
  private enum Trouble {
    LINK,
    HOME,
    DESTINATION
  }

  static Stream<Arguments> before() {
    return some(
        Arguments.of("demand-paging", "home.freezing", Trouble.LINK),
        Arguments.of("auto", "home.restoring", Trouble.HOME),
        Arguments.of("auto", "home.dumping", Trouble.DESTINATION),
        Arguments.of("demand-paging", "home.restoring", Trouble.LINK),
        Arguments.of("demand-paging", "home.freezing", Trouble.DESTINATION),
        Arguments.of("demand-paging", "home.dumping", Trouble.HOME));
  }

  static Stream<Arguments> after() {
    return some(
        Arguments.of("demand-paging", 100, Trouble.HOME),
        Arguments.of("demand-paging", 50, Trouble.LINK),
        Arguments.of("demand-paging", 8, Trouble.DESTINATION),
        Arguments.of("auto", 100, Trouble.LINK),
        Arguments.of("auto", 50, Trouble.HOME),
        Arguments.of("auto", 8, Trouble.DESTINATION),
        Arguments.of("demand-paging", 100, Trouble.LINK),
        Arguments.of("demand-paging", 100, Trouble.DESTINATION),
        Arguments.of("demand-paging", 50, Trouble.HOME),
        Arguments.of("demand-paging", 50, Trouble.DESTINATION),
        Arguments.of("demand-paging", 8, Trouble.LINK),
        Arguments.of("demand-paging", 8, Trouble.HOME));
  }

  /** The first half. */
  private static Stream<Arguments> some(Arguments... all) {
    return Arrays.stream(all).limit(ALL ? all.length : all.length / 2);
  }

  @ParameterizedTest
  @MethodSource("before")
  void beforeTheCommitItRunsAtHomeOrArrives(
      String algorithm, String point, Trouble trouble, Testbed bed) throws InterruptedException {
    program = start(bed, algorithm);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, "a");
    Exile.Running migration = Exile.start(bed, "a", words(algorithm));
    pause.awaitReached(bed, "a");

    strike(bed, trouble, BRIEFLY_MILLIS);

    FaultPoint.disarm(bed, "a");
    Exile.Outcome outcome = migration.await();
    id = Exile.latest(bed, "a").path("id").asText();
    if (outcome.json().path("outcome").asText().equals("migrated")) {
      program.process().assertRunsOnlyOn("b");
      awaitArrival(bed);
    } else {
      program.process().assertRunsOnlyOn("a");
    }
    program.awaitPasses(2);
  }

  @ParameterizedTest
  @MethodSource("after")
  void afterItTheProcessWaitsAndGoesOn(
      String algorithm, int percentMissing, Trouble trouble, Testbed bed)
      throws InterruptedException {
    long missing = move(bed, algorithm);
    awaitMissing(bed, missing * percentMissing / 100);

    strike(bed, trouble, percentMissing == 50 ? CUT_MILLIS : BRIEFLY_MILLIS);

    awaitArrival(bed);
    program.process().assertRunsOnlyOn("b");
    program.awaitPasses(2);
  }

  @Test
  void whatIsMissingIsTold(Testbed bed) {
    move(bed, "demand-paging", "512K"); // which takes it half a minute

    JsonNode home = show(bed, "a");
    assertEquals(-1, home.path("dependsOnHomeMillis").asLong(), home::toString);
    assertTrue(home.path("missingBytes").asLong() > 0, home::toString);
    assertTrue(show(bed, "b").path("missingBytes").asLong() > 0);
    assertEquals("FORWARDING", home.path("state").asText(), home::toString);
    Exile.migrate(bed, "a", program.process().pid(), "a").assertFails("refused");

    awaitArrival(bed);
    program.awaitPasses(2);
  }

  @Test
  void itIsEndedWhenItsMemoryIsLost(Testbed bed) {
    move(bed, "demand-paging");

    Resident.kill(bed, "a", Resident.MEMORY);

    Await.until(
        SOON,
        () -> "it is ended: " + program.process().copies("b"),
        () -> program.process().copies("b").isEmpty() && program.process().copies("a").isEmpty());
    program.assertRight();
    String note = show(bed, "b").path("note").asText();
    assertTrue(note.contains("memory"), () -> show(bed, "b").toString());
  }

  @Test
  void itIsEndedWhenThePagerIsKilledWhole(Testbed bed) {
    move(bed, "demand-paging", "512K");

    Resident.kill(bed, "b", Resident.PAGER, Resident.PAGER_KEEPER);

    Await.until(
        SOON,
        () -> "it is ended: " + program.process().copies("b"),
        () -> program.process().copies("b").isEmpty() && program.process().copies("a").isEmpty());
    program.assertRight();
    assertTrue(show(bed, "b").path("note").asText().contains("pager"), () -> "" + show(bed, "b"));
  }

  @Test
  void thePagerMayBeKilled(Testbed bed) throws InterruptedException {
    move(bed, "demand-paging");

    for (int i = 0; i < 3; i++) {
      Resident.kill(bed, "b", Resident.PAGER);
      TimeUnit.MILLISECONDS.sleep(500);
    }

    awaitArrival(bed);
    program.process().assertRunsOnlyOn("b");
    program.awaitPasses(2);
  }

  private static void strike(Testbed bed, Trouble trouble, long millis)
      throws InterruptedException {
    switch (trouble) {
      case LINK -> {
        bed.cut("b");
        TimeUnit.MILLISECONDS.sleep(millis);
        bed.join("b");
      }
      case HOME -> restart(bed, "a");
      case DESTINATION -> restart(bed, "b");
    }
  }

  private static void restart(Testbed bed, String host) {
    bed.agentStop(host, "KILL");
    FaultPoint.disarm(bed, host);
    bed.agentStart(host);
  }

  /** Auto leaves something at home only where much is written. */
  private static PatternProgram start(Testbed bed, String algorithm) {
    int rate = algorithm.equals("auto") ? 20_000 : 500;
    return PatternProgram.start(bed, "a", "late", MEGABYTES, rate);
  }

  /** Moves the program; returns how many bytes were missing as it was resumed. */
  private long move(Testbed bed, String algorithm) {
    return move(bed, algorithm, RATE);
  }

  private long move(Testbed bed, String algorithm, String rate) {
    program = start(bed, algorithm);
    Exile.Outcome outcome = Exile.run(bed, "a", words(algorithm, rate));
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    id = outcome.json().path("id").asText();
    long missing = outcome.json().path("missingBytes").asLong();
    assertTrue(missing > 0, outcome.json()::toString);
    return missing;
  }

  private String[] words(String algorithm) {
    return words(algorithm, RATE);
  }

  private String[] words(String algorithm, String rate) {
    String pid = "" + program.process().pid();
    List<String> words = new ArrayList<>(List.of("migrate", pid, "--to", "b", "-o", "json"));
    words.addAll(Arrays.asList("--algorithm", algorithm, "--bandwidth", rate));
    words.addAll(List.of("--max-freeze", "1", "--rounds", "1"));
    return words.toArray(String[]::new);
  }

  private void awaitMissing(Testbed bed, long most) {
    Await.until(
        ARRIVAL,
        () -> most + " bytes are missing: " + show(bed, "b"),
        () -> show(bed, "b").path("missingBytes").asLong() <= most);
  }

  private void awaitArrival(Testbed bed) {
    Await.until(
        ARRIVAL,
        () -> "its last page arrives: " + show(bed, "a") + show(bed, "b") + program.told(),
        () -> show(bed, "a").path("dependsOnHomeMillis").asLong() >= 0);
  }

  private JsonNode show(Testbed bed, String host) {
    return Exile.run(bed, host, "show", id, "-o", "json").json();
  }
}
