package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Each of the shim's jobs is killed at a random moment of its life: the process runs at home or at
 * the destination, never nowhere, never twice.
 */
@Hosts({"a", "b"})
class ShimDeathIT {
  private static final int ROUNDS = Integer.getInteger("exile.it.kills", 5);
  private static final Duration LIMIT = Duration.ofSeconds(20);

  @ParameterizedTest
  @CsvSource({
    "a, exile-shim freeze, 100",
    "a, exile-shim deputize, 3",
    "b, exile-shim cell, 60",
    "b, exile-hook, 1",
    "b, exile-shim settle, 1"
  })
  void whileItMoves(String host, String job, int lifeMillis, Testbed bed) throws Exception {
    Random random = new Random(job.hashCode());
    for (int round = 0; round < ROUNDS; round++) {
      Ticker ticker = new Ticker(bed, "ticks" + round);
      Exile.Running migration =
          Exile.start(bed, "a", "migrate", "" + ticker.process.pid(), "--to", "b", "-o", "json");
      boolean killed = killOnSight(bed, host, job, random.nextInt(lifeMillis + 1));

      Exile.Outcome outcome = migration.await();

      String how = outcome.json().path("outcome").asText();
      System.out.printf("%s killed: %s, outcome %s%n", job, killed, how);
      switch (how) {
        case "migrated" -> {
          if (!job.equals("exile-shim cell") || ticker.runs("b")) {
            ticker.assertGoesOn("b");
          } else {
            ticker.assertGone(); // the cell's init is its life: killed later than COMMIT, all is
          }
        }
        case "rolled-back" -> {
          ticker.assertGoesOn("a");
          Exile.move(bed, ticker.process, "b");
          ticker.assertGoesOn("b");
        }
        default -> throw new AssertionError(outcome.result().toString());
      }
      ticker.process.kill();
      ticker.assertGone();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"a, exile-shim watch", "b, exile-shim post"})
  void afterTheMove(String where, Testbed bed) throws Exception {
    String host = where.split(", ", 2)[0];
    String job = where.split(", ", 2)[1];
    SignalLog log = SignalLog.start(bed, "a", "killed" + host);
    Exile.move(bed, log.process(), "b");
    SignalLog.Storm storm = log.storm(500, 2, 1);
    for (int round = 0; round < ROUNDS; round++) {
      assertTrue(killOnSight(bed, host, job, 100), job);
    }

    storm.assertArrived();
    bed.exec("a", "kill", "-STOP", "" + log.process().pid()).orFail();
    Await.until(
        LIMIT,
        () -> "it stops: " + log.process().copies("b"),
        () -> log.process().copies("b").stream().allMatch(copy -> copy.state() == 'T'));
    bed.exec("a", "kill", "-KILL", "" + log.process().pid()).orFail();
    Await.until(LIMIT, () -> "it is killed", () -> log.process().copies("b").isEmpty());
  }

  /** A deputy cannot be watched while a debugger has it: that is no reason to kill the process. */
  @Test
  void aDeputyThatSomebodyTracesIsWatchedLater(Testbed bed) throws Exception {
    Ticker ticker = new Ticker(bed, "traced");
    Exile.move(bed, ticker.process, "b");
    bed.agentStop("a", "KILL");
    Path attached = bed.work().resolve("attached");
    String tracer =
        """
        import ctypes, time
        if ctypes.CDLL(None).ptrace(0x4206, %d, 0, 0) == 0: # PTRACE_SEIZE
            open('%s', 'w').close()
        time.sleep(60)
        """;
    Process debugger =
        bed.spawn(
            "a",
            List.of("/usr/bin/python3", "-c", tracer.formatted(ticker.process.pid(), attached)));
    Await.until(LIMIT, () -> "it is traced", () -> Files.exists(attached));
    bed.agentStart("a");
    Await.until(
        LIMIT,
        () -> "that is told: " + bed.agentLog("a"),
        () -> bed.agentLog("a").contains("is traced by somebody else"));
    ticker.assertGoesOn("b");

    debugger.descendants().forEach(ProcessHandle::destroyForcibly);

    Await.until(
        LIMIT,
        () -> "it is watched",
        () -> {
          bed.exec("a", "kill", "-STOP", "" + ticker.process.pid()).orFail();
          return ticker.process.copies("b").stream().allMatch(copy -> copy.state() == 'T');
        });
    bed.exec("a", "kill", "-CONT", "" + ticker.process.pid()).orFail();
    ticker.assertGoesOn("b");
    ticker.process.kill();
    ticker.assertGone();
  }

  @Test
  void aKilledRehearsalIsToldAndTheNextOneCounts(Testbed bed) throws Exception {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            prog bash -c 'for i in {1..150}; do sleep 1000 & done; gate stop; kill $(jobs -p)'
            """); // so many that it is seen at work
    int children = 150;
    Await.until(LIMIT, () -> "it has its children", () -> pipeline.children() == children);
    Commands.Result told;
    int tries = 0;
    do { // one that was killed after its last word does no harm
      Exile.Running check = Exile.start(bed, "a", "check", "" + pipeline.pid(), "--to", "b");
      killRehearsal(bed);
      told = check.await().result();
    } while (told.exit() == 0 && ++tries < ROUNDS);

    assertEquals(1, told.exit(), told::toString);
    assertTrue((told.out() + told.err()).contains("rehearse was killed"), told::toString);
    assertTrue(pipeline.runsOn("a"));
    Exile.run(bed, "a", "check", "" + pipeline.pid(), "--to", "b").result().orFail();
    pipeline.open("stop").output();
  }

  /** Not one of its many children, which live for a moment only. */
  private static void killRehearsal(Testbed bed) {
    ProcessHandle agent = ProcessHandle.of(bed.agentPid("a")).orElseThrow();
    Await.until(
        LIMIT,
        () -> "a rehearsal is killed",
        () ->
            agent
                .children()
                .filter(
                    child ->
                        Proc.read(Path.of("/proc", "" + child.pid(), "cmdline"))
                            .contains("rehearse"))
                .anyMatch(ProcessHandle::destroyForcibly));
  }

  /** Its PID 1 is the life of a PID namespace: the end is told at home as any other. */
  @Test
  void theParentSeesTheEndOfAProcessWhoseCellIsKilled(Testbed bed) throws Exception {
    Pipeline pipeline =
        Pipeline.start(
            bed,
            """
            seq 1 10 | (prog bash -c 'read line; gate never') | cat
            echo ${PIPESTATUS[1]}
            """);
    pipeline.move();

    assertTrue(killOnSight(bed, "b", "exile-shim cell", 0));

    assertEquals("137\n", pipeline.output());
    assertFalse(pipeline.runsOn("a") || pipeline.runsOn("b"));
  }

  /** Also where nothing is sent to the tree since, which would start another post. */
  @Test
  void theEndOfADescendantIsSeenAlthoughPostWasKilled(Testbed bed) throws Exception {
    Pipeline pipeline =
        Pipeline.start(bed, "prog bash -c 'sleep 1234 & touch $work/begun; wait; exec sleep 2345'");
    pipeline.await("begun").move();
    Await.until(LIMIT, () -> "both have deputies", () -> deputies(bed) == 2);
    assertTrue(killOnSight(bed, "b", "exile-shim post", 0));

    Proc child =
        bed.processes("b").stream()
            .filter(process -> process.command().startsWith("sleep 1234"))
            .findFirst()
            .orElseThrow();
    ProcessHandle.of(child.pid()).orElseThrow().destroyForcibly();

    Await.until(LIMIT, () -> "its deputy ends: " + bed.agentLog("b"), () -> deputies(bed) == 1);
    assertTrue(pipeline.runsOn("b"));
    bed.exec("a", "kill", "-KILL", "" + pipeline.pid()).orFail();
    pipeline.output();
  }

  private static long deputies(Testbed bed) {
    return bed.processes("a").stream()
        .filter(process -> process.command().startsWith("exile: ") && process.running())
        .count();
  }

  /** Waits for a process that does this job, kills it a little later and waits for its end. */
  private static boolean killOnSight(Testbed bed, String host, String job, int afterMillis)
      throws Exception {
    long end = System.nanoTime() + Duration.ofSeconds(3).toNanos();
    while (System.nanoTime() < end) {
      Optional<ProcessHandle> seen =
          bed.processes(host).stream()
              .filter(process -> process.command().startsWith("/run/exile-deputy/" + job))
              // the one that starts the cell ends at once
              .filter(process -> process.inCell() || !job.endsWith(" cell"))
              .findFirst()
              .flatMap(process -> ProcessHandle.of(process.pid()));
      if (seen.isPresent()) {
        TimeUnit.MILLISECONDS.sleep(afterMillis);
        boolean killed = seen.get().destroyForcibly();
        seen.get().onExit().get(LIMIT.toSeconds(), TimeUnit.SECONDS);
        return killed;
      }
    }
    return false;
  }

  /** A process that counts in a file. */
  private static final class Ticker {
    private final Path file;
    private final Daemon process;

    Ticker(Testbed bed, String name) {
      file = bed.work().resolve(name);
      process = bed.python("a", "ticker.py", file);
      Await.until(LIMIT, () -> "it counts", () -> count() > 5);
    }

    private long count() {
      List<String> words = List.of(Proc.read(file).strip().split("\\s+", -1));
      return words.size() == 2 ? Long.parseLong(words.get(1)) : 0;
    }

    boolean runs(String host) {
      return process.copies(host).stream().anyMatch(Proc::running);
    }

    void assertGoesOn(String host) {
      process.assertRunsOnlyOn(host);
      long before = count();
      Await.until(LIMIT, () -> "it counts beyond " + before, () -> count() > before + 5);
      assertEquals(1, process.copies(host).size());
    }

    void assertGone() {
      Await.until(
          LIMIT,
          () -> "nothing is left: " + process.copies("a") + process.copies("b"),
          () -> process.copies("a").isEmpty() && process.copies("b").isEmpty());
    }
  }
}
