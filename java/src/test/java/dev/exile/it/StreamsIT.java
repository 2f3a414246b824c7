package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Pipes, FIFOs and files of a moved process, whose other end stays at home. */
@Hosts({"a", "b"})
class StreamsIT {
  @ParameterizedTest
  @ValueSource(strings = {"cat", "/usr/bin/python3 -B $pace 0"})
  void everyByteOfFiftyMillionLinesPasses(String program, Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            pace=%s
            seq 1 50000000 | workload pace.py 20 $work/moved | prog %s | md5sum
            echo ${PIPESTATUS[@]}
            """
                .formatted(Workload.path("pace.py"), program));

    pipeline.move();

    assertTrue(pipeline.runsOn("b"), "it was over before it had moved");
    pipeline.open("moved");
    assertEquals(plain("seq 1 50000000 | md5sum") + "0 0 0 0\n", pipeline.output());
  }

  /** What a script writes here, where nothing moves. */
  private static String plain(String script) {
    return Commands.run(Map.of(), List.of("sh", "-c", script)).orFail().out();
  }

  @Test
  void agentsMayDieWhileBytesPass(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            seq 1 50000000 | workload pace.py 20 $work/moved | prog cat | md5sum
            echo ${PIPESTATUS[@]}
            """);
    pipeline.move();

    for (String host : List.of("a", "b")) {
      bed.agentStop(host, "KILL");
      bed.agentStart(host);
    }

    assertTrue(pipeline.runsOn("b"), "it was over before the agents had died");
    pipeline.open("moved");
    assertEquals(plain("seq 1 50000000 | md5sum") + "0 0 0 0\n", pipeline.output());
  }

  @Test
  void whatWaitsInPipesIsReadAfterTheMove(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            (seq 1 10000; touch $work/written; gate go; echo last) |
              prog bash -c 'gate go; cat; echo to stderr >&2' 2>&1 | (gate read; cksum)
            echo ${PIPESTATUS[@]}
            """);
    pipeline.await("written").move().open("go").open("read");

    String expected = plain("(seq 1 10000; echo last; echo to stderr) | cksum");
    assertEquals(expected + "0 0 0\n", pipeline.output());
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

    pipeline.move().open("go");

    assertEquals("1000000\n141 141 0\n", pipeline.output());
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

    pipeline.move().open("go");

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

    pipeline.move().open("go");

    assertEquals("", pipeline.output());
    StringBuilder expected = new StringBuilder("before\nhere\n");
    for (int i = 1; i <= 100_000; i++) {
      expected.append(i).append('\n');
    }
    assertEquals(expected + "bad\nstatus 0\n", Files.readString(output));
    assertFalse(Files.exists(bed.run("b").resolve("output")));
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

    pipeline.move().open("go");

    String expected = plain("(echo early; seq 1 100000) | cksum");
    assertEquals(expected, pipeline.output());
  }

  @Test
  void theParentHearsOfTheEndAfterTheLastByte(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            mkfifo /run/out; cat /run/out >$work/copy & # so that nobody waits for the output itself
            (prog bash -c 'gate go; seq 1 10000; exit 7' >/run/out)
            echo status $? >>$work/copy
            wait; rm /run/out
            tail -n 2 $work/copy
            """);

    pipeline.move().open("go");

    assertEquals("10000\nstatus 7\n", pipeline.output());
  }

  @Test
  void aPipeBothEndsOfWhichAreSharedIsRefusedByName(Testbed bed) {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            mkfifo /run/both; exec 9<>/run/both; rm /run/both
            (prog bash -c 'gate end') & wait
            """);

    Exile.migrate(bed, "a", pipeline.pid(), "b")
        .assertFails("refused", "descriptor 9 of process " + pipeline.pid(), "both ends");

    assertTrue(pipeline.runsOn("a"));
    assertEquals("", pipeline.open("end").output());
  }
}
