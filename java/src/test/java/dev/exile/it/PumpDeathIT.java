package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The pump of either host is killed while {@code producer | PROCESS | consumer} is at work. */
@Hosts(
    value = {"a", "b"},
    agentOptions = FaultPoint.OPTION)
class PumpDeathIT {
  private static final Duration LIMIT = Duration.ofSeconds(20);

  /** Lines with their numbers until the gate opens; the consumer tells the first wrong one. */
  static final String COUNTED =
      """
      count() {
        i=0
        until test -e $work/enough; do seq $((i + 1)) $((i += 10000)); done
        echo all $i >$work/sent
      }
      check() { awk '$1 != NR { print "line", NR, "is", $0; exit } END { print "all", NR }'; }
      count | workload pace.py 5 | prog cat | check
      echo ${PIPESTATUS[@]}
      cat $work/sent
      """;

  @AfterEach
  void agentsAreSound(Testbed bed) {
    FaultPoint.disarm(bed, "a");
    FaultPoint.disarm(bed, "b");
  }

  @ParameterizedTest
  @CsvSource({
    "a, a, home.freezing, exile-pump",
    "a, a, home.dumping, exile-keeper",
    "a, a, home.committed, exile-pump",
    "b, b, dest.restored, exile-pump",
    "b, a, home.committed, exile-keeper",
  })
  void aMoveSucceedsAlthoughAProcessOfAPumpIsKilled(
      String host, String paused, String point, String process, Testbed bed) {
    Pipeline pipeline = Pipeline.start(bed, COUNTED);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, paused);
    Exile.Running migration = start(bed, pipeline);
    pause.awaitReached(bed, paused);

    Resident.kill(bed, host, process);
    FaultPoint.disarm(bed, paused);

    assertEquals("migrated", migration.await().json().path("outcome").asText());
    assertRunsOnlyOn("b", pipeline);
    assertAllPassed(pipeline);
  }

  @ParameterizedTest
  @ValueSource(strings = {"a", "b"})
  void everyByteArrivesWhenTheyAreKilledInTurn(String host, Testbed bed) {
    Pipeline pipeline = Pipeline.start(bed, COUNTED);
    pipeline.move();

    for (String killed : List.of(Resident.PUMP, Resident.KEEPER)) {
      Resident.untilLogged(bed, host, "pumps on", () -> Resident.kill(bed, host, killed));
    }
    bed.agentStop(host, "KILL");
    Resident.kill(bed, host, Resident.PUMP);
    bed.agentStart(host);
    Resident.untilLogged(bed, host, "pumps on", () -> Resident.kill(bed, host, Resident.KEEPER));

    assertRunsOnlyOn("b", pipeline);
    assertAllPassed(pipeline);
  }

  /** Both of its processes, that is: before COMMIT that is a failure like any other. */
  @ParameterizedTest
  @CsvSource({"a, a, home.restoring, the pump", "b, b, dest.restored, b has dropped the process"})
  void aPumpThatIsKilledWholeRollsTheMoveBack(
      String host, String paused, String point, String reason, Testbed bed) {
    Pipeline pipeline = Pipeline.start(bed, COUNTED);
    FaultPoint pause = new FaultPoint(point, "pause");
    pause.arm(bed, paused);
    Exile.Running migration = start(bed, pipeline);
    pause.awaitReached(bed, paused);

    Resident.kill(bed, host, Resident.PUMP, Resident.KEEPER);
    FaultPoint.disarm(bed, paused);

    migration.await().assertFails("rolled-back", reason);
    assertRunsOnlyOn("a", pipeline);
    assertAllPassed(pipeline);
  }

  /** After COMMIT it ends the streams. The process lives on, and its end reaches home as ever. */
  @ParameterizedTest
  @ValueSource(strings = {"a", "b"})
  void aProcessOutlivesAPumpThatIsKilledWhole(String host, Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            yes | prog bash -c '
              trap "touch $work/signalled" USR1
              cat; gate go; exit 3' | (cat >/dev/null; touch $work/ended)
            echo ${PIPESTATUS[1]}
            """);
    pipeline.move();

    Resident.untilLogged(
        bed,
        host,
        "both of its processes",
        () -> Resident.kill(bed, host, Resident.PUMP, Resident.KEEPER));

    pipeline.await("ended");
    for (String signal : List.of("-CONT", "-WINCH", "-USR1")) {
      bed.exec("a", "kill", signal, "" + pipeline.pid()).orFail();
    }
    pipeline.await("signalled");
    assertRunsOnlyOn("b", pipeline);
    assertEquals("3\n", pipeline.open("go").output());
    Await.until(
        LIMIT,
        () -> "the migration ends: " + Exile.run(bed, "a", "ps").result(),
        () -> Exile.latest(bed, "a").path("migration").asText().equals("ENDED"));
  }

  private static Exile.Running start(Testbed bed, Pipeline pipeline) {
    return Exile.start(bed, "a", "migrate", "" + pipeline.pid(), "--to", "b", "-o", "json");
  }

  private static void assertRunsOnlyOn(String host, Pipeline pipeline) {
    assertTrue(pipeline.runsOn(host), host);
    assertFalse(pipeline.runsOn(host.equals("a") ? "b" : "a"));
  }

  private static void assertAllPassed(Pipeline pipeline) {
    List<String> said = pipeline.open("enough").output().lines().toList();
    assertEquals(3, said.size(), said::toString);
    assertEquals(said.get(2), said.get(0));
    assertEquals("0 0 0 0", said.get(1));
  }
}
