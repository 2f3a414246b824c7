package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
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

/** A process with pipes, FIFOs and files that lead home moves on, and comes home. */
@Hosts(
    value = {"a", "b", "c"},
    frailCriu = true,
    agentOptions = FaultPoint.OPTION)
class StreamHopsIT {
  private static final Duration SOON = Duration.ofSeconds(20);

  @AfterEach
  void agentsAreSoundAgain(Testbed bed) throws IOException {
    bed.endWorkloads();
    FaultPoint.heal(bed, "a", "b", "c");
  }

  @ParameterizedTest
  @ValueSource(strings = {"cat", "/usr/bin/python3 -B $pace 0"})
  void everyByteOfTwentyMillionLinesPassesOnATourOfFiveLegs(String program, Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            pace=%s
            seq 1 20000000 | workload pace.py 20 $work/moved | prog %s | md5sum
            echo ${PIPESTATUS[@]}
            """
                .formatted(Workload.path("pace.py"), program));

    pipeline.move().hop("c").hop("b").recall().hop("c");

    pipeline.open("moved");
    assertEquals(plain("seq 1 20000000 | md5sum") + "0 0 0 0\n", pipeline.output());
    awaitNothingLeft(bed);
  }

  /** What a script writes here, where nothing moves. */
  private static String plain(String script) {
    return Commands.run(Map.of(), List.of("sh", "-c", script)).orFail().out();
  }

  private static void awaitNothingLeft(Testbed bed) {
    Await.until(
        SOON, () -> "nothing left over, but: " + bed.leftovers(), () -> bed.leftovers().isEmpty());
  }

  /** Pipes and sockets are full in both directions, on whatever host it is. */
  @Test
  void whatWaitsInFullQueuesTravelsAlong(Testbed bed) throws InterruptedException {
    Pipeline pipeline =
        Pipeline.start(
            bed, "seq 1 4000000 | prog cat | (gate read; md5sum); echo ${PIPESTATUS[@]}");

    pipeline.move();
    for (String to : List.of("c", "b")) {
      TimeUnit.SECONDS.sleep(2); // for the queues to fill
      pipeline.hop(to);
    }
    TimeUnit.SECONDS.sleep(2);
    pipeline.recall().open("read");

    assertEquals(plain("seq 1 4000000 | md5sum") + "0 0 0\n", pipeline.output());
    awaitNothingLeft(bed);
  }

  @Test
  void theEndOfTheInputIsSeenAfterTwoMoves(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed, "(seq 1 10000; gate end; echo last) | prog cat | cksum; echo ${PIPESTATUS[@]}");

    pipeline.move().hop("c").open("end");

    assertEquals(plain("(seq 1 10000; echo last) | cksum") + "0 0 0\n", pipeline.output());
  }

  /** The input's end has reached the pipe at b, behind bytes that were not read yet. */
  @ParameterizedTest
  @ValueSource(ints = {100, 10_000, 1_000_000})
  void anEndThatCameBeforeTheSecondMoveTravelsAlong(int lines, Testbed bed)
      throws InterruptedException {
    Pipeline pipeline =
        Pipeline.start(bed, "seq 1 %d | prog bash -c 'gate go; cat' | cksum".formatted(lines));
    pipeline.move();
    TimeUnit.SECONDS.sleep(1);

    pipeline.hop("c").recall().open("go");

    assertEquals(plain("seq 1 %d | cksum".formatted(lines)), pipeline.output());
    awaitNothingLeft(bed);
  }

  /** It has closed its output before the second move, while nobody reads it at home. */
  @Test
  void whatItWroteBeforeItClosedItsOutputTravelsAlong(Testbed bed) throws InterruptedException {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            prog bash -c 'gate go; seq 1 100000; exec >&-; touch $work/closed; gate end' |
              (gate read; cksum)
            """);
    pipeline.move().open("go").await("closed").hop("c").hop("b").open("read");
    TimeUnit.SECONDS.sleep(1);

    assertTrue(pipeline.runsOn("b"));
    pipeline.open("end");

    assertEquals(plain("seq 1 100000 | cksum"), pipeline.output());
    awaitNothingLeft(bed);
  }

  @Test
  void theProcessGetsSigpipeWhenItsConsumerGoesAway(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            yes | prog cat | (gate go; head -c 1000000 | wc -c)
            echo ${PIPESTATUS[@]}
            """);

    pipeline.move().hop("c").open("go");

    assertEquals("1000000\n141 141 0\n", pipeline.output());
  }

  /** The consumer has gone before the second move; the process has not tried to write since. */
  @Test
  void aBrokenPipeStaysBroken(Testbed bed) throws InterruptedException {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            prog bash -c 'gate go; echo more; touch $work/not-killed' | (gate gone; exec <&-)
            echo ${PIPESTATUS[@]}
            """);
    pipeline.move().open("gone");
    TimeUnit.SECONDS.sleep(1);

    pipeline.hop("c").open("go");

    assertEquals("141 0\n", pipeline.output());
  }

  @Test
  void theProducerGetsSigpipeWhenTheProcessReadsNoMore(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            (trap '' PIPE; while echo y 2>/dev/null; do :; done; touch $work/told) |
              prog bash -c 'gate go; exec <&-; gate told; echo still there'
            """);

    pipeline.move().hop("c").open("go");

    assertEquals("still there\n", pipeline.output());
  }

  @Test
  void outputGoesToAFileThatOnlyHomeHas(Testbed bed) throws IOException {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            (echo before; (prog bash -c 'echo here; gate go; seq 1 100000; echo bad >&2' 2>&1)
             echo status $?) >/run/output
            """);
    Path output = bed.run("a").resolve("output");

    pipeline.move().hop("c").open("go");

    assertEquals("", pipeline.output());
    assertEquals(
        plain("echo before; echo here; seq 1 100000; echo bad; echo status 0"),
        Files.readString(output));
    assertFalse(Files.exists(bed.run("c").resolve("output")));
  }

  @Test
  void aFifoThatOnlyHomeHasIsReadToItsEnd(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            mkfifo /run/fifo
            (prog cat </run/fifo | cksum) &
            exec 3>/run/fifo
            echo early >&3
            gate go
            seq 1 100000 >&3
            exec 3>&-
            wait
            rm /run/fifo
            """);

    pipeline.move().hop("c").open("go");

    assertEquals(plain("(echo early; seq 1 100000) | cksum"), pipeline.output());
  }

  @Test
  void theParentHearsOfTheEndAfterTheLastByte(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            mkfifo /run/out; cat /run/out >$work/copy & # so that nobody waits for the output itself
            (prog bash -c 'seq 1 1000; gate go; seq 1 10000; exit 7' >/run/out)
            echo status $? >>$work/copy
            wait; rm /run/out
            tail -n 2 $work/copy
            """);

    pipeline.move().hop("c").open("go");

    assertEquals("10000\nstatus 7\n", pipeline.output());
  }

  @ParameterizedTest
  @CsvSource({"b, dump-late, asked to fail", "c, restore, Error"})
  void noByteIsLostWhereALegIsUndone(String host, String fault, String cause, Testbed bed)
      throws IOException {
    Pipeline pipeline = counted(bed).move();
    Files.writeString(bed.run(host).resolve("criu-fault"), fault);

    Exile.migrate(bed, "a", pipeline.pid(), "c").assertFails("rolled-back", cause, ".log");

    assertTrue(pipeline.runsOn("b"));
    Files.delete(bed.run(host).resolve("criu-fault"));
    assertAllPassed(pipeline.hop("c").recall());
  }

  @ParameterizedTest
  @CsvSource({"b, leave.transferring", "c, dest.restored"})
  void noByteIsLostWhereAnAgentIsKilledInALeg(String host, String point, Testbed bed) {
    Pipeline pipeline = counted(bed).move();
    new FaultPoint(point, "halt").arm(bed, host);

    Exile.migrate(bed, "a", pipeline.pid(), "c").assertFails("rolled-back", host);

    FaultPoint.disarm(bed, host);
    bed.agentStart(host);
    Await.until(SOON, () -> "it runs on at b", () -> pipeline.runsOn("b"));
    assertAllPassed(pipeline.hop("c"));
  }

  private static Pipeline counted(Testbed bed) {
    return Pipeline.start(bed, PumpDeathIT.COUNTED);
  }

  private static void assertAllPassed(Pipeline pipeline) {
    List<String> said = pipeline.open("enough").output().lines().toList();
    assertEquals(3, said.size(), said::toString);
    assertEquals(said.get(2), said.get(0));
    assertEquals("0 0 0 0", said.get(1));
  }
}
