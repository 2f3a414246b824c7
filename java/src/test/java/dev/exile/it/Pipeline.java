package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A bash script in a host, one process of which moves. In the script {@code prog CMD...} is that
 * process; {@code gate NAME} waits until {@link #open}; {@code $work} is a directory of the test's.
 */
final class Pipeline {
  private static final Duration LIMIT = Duration.ofSeconds(60);
  private static final String PRELUDE =
      """
      set -m; set +m # job control off, whatever the caller had
      prog() { echo $BASHPID >$work/pid.new; mv $work/pid.new $work/pid; exec "$@"; }
      gate() { while ! test -e $work/$1; do sleep 0.02; done; }
      workload() { local script=$1; shift; /usr/bin/python3 -B %s/$script "$@"; }
      export work; export -f gate workload
      """;

  private final Testbed bed;
  private final Path work;
  private final Process bash;
  private String migration;

  /** Starts the script and returns once {@code prog} runs. */
  static Pipeline start(Testbed bed, String script) {
    try {
      Path work = Files.createTempDirectory(bed.work(), "pipeline");
      String prelude = "work=" + work + "\n" + PRELUDE.formatted(Workload.path(""));
      Pipeline pipeline =
          new Pipeline(bed, work, bed.spawn("a", List.of("bash", "-c", prelude + script)));
      Await.until(LIMIT, () -> "prog starts", () -> Files.exists(work.resolve("pid")));
      return pipeline;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Pipeline(Testbed bed, Path work, Process bash) {
    this.bed = bed;
    this.work = work;
    this.bash = bash;
  }

  int pid() {
    return Integer.parseInt(Proc.read(work.resolve("pid")).strip());
  }

  /** Moves the process. */
  Pipeline move() {
    Exile.Outcome outcome = Exile.migrate(bed, "a", pid(), "b");
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    System.out.printf("moved %s: %s%n", pid(), outcome.json());
    migration = outcome.json().path("id").asText();
    return this;
  }

  /** Moves it on; asked for at home. */
  Pipeline hop(String to) {
    Exile.Outcome outcome = Exile.migrate(bed, "a", pid(), to);
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    System.out.printf("moved on %s: %s%n", pid(), outcome.json());
    assertTrue(runsOn(to), "it does not run on " + to);
    return this;
  }

  /** Brings it home. */
  Pipeline recall() {
    Exile.Outcome outcome = Exile.run(bed, "a", "recall", migration, "-o", "json");
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    System.out.printf("recalled %s: %s%n", pid(), outcome.json());
    assertTrue(runs("a", true), "it does not run in a cell of a");
    return this;
  }

  /** Whether the process runs in a host, a deputy not counted; home: as if it had never left. */
  boolean runsOn(String host) {
    return runs(host, !host.equals("a"));
  }

  private boolean runs(String host, boolean inCell) {
    return bed.processes(host).stream()
        .anyMatch(
            process ->
                process.innerPid() == pid()
                    && process.inCell() == inCell
                    && !process.command().startsWith("exile: ")
                    && process.running());
  }

  /** How many children the process has at home. */
  long children() {
    return bed.processes("a").stream()
        .filter(process -> process.innerPid() == pid())
        .flatMap(process -> ProcessHandle.of(process.pid()).stream())
        .flatMap(ProcessHandle::children)
        .count();
  }

  /** Lets a {@code gate} pass. */
  Pipeline open(String gate) {
    try {
      Files.createFile(work.resolve(gate));
      return this;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns once the script has made this file. */
  Pipeline await(String file) {
    Await.until(LIMIT, () -> file + " appears", () -> Files.exists(work.resolve(file)));
    return this;
  }

  /** What the script has written, once it has ended. */
  String output() {
    try {
      String said =
          new String(bash.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
      assertTrue(bash.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS), "hangs");
      return said;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }
}
