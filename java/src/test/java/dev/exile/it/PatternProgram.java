package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A process (workloads/pattern.c) that checks every page of its memory for ever. */
final class PatternProgram {
  private static final Duration LIMIT = Duration.ofMinutes(2);
  private static final long SEED = 7;

  private final Path status;
  private final Daemon process;

  private PatternProgram(Path status, Daemon process) {
    this.status = status;
    this.process = process;
  }

  /**
   * Starts one in a host and waits until its memory is filled; it is compiled once per test bed.
   *
   * @param name of its files
   * @param rate pages that it writes a second; 0: nothing changes
   */
  static PatternProgram start(Testbed bed, String host, String name, int megabytes, int rate) {
    Path program = bed.work().resolve("page-checker");
    if (!Files.exists(program)) {
      Commands.run(
              Map.of(), List.of("gcc", "-O2", "-o", program.toString(), Workload.path("pattern.c")))
          .orFail();
    }
    Path status = bed.work().resolve(name + ".status");
    Daemon process =
        bed.daemon(
            host,
            program.toString(),
            "" + megabytes,
            "" + rate,
            status.toString(),
            bed.work().resolve(name + ".data").toString(),
            "" + SEED);
    PatternProgram started = new PatternProgram(status, process);
    Await.until(LIMIT, () -> "its memory is filled: " + started.told(), started::isReady);
    return started;
  }

  Daemon process() {
    return process;
  }

  /** One of its figures: passes, checked, writes, mapped or wrong; 0 before it tells of any. */
  long figure(String name) {
    Matcher matcher = Pattern.compile("\\b" + name + " (\\d+)").matcher(told());
    return matcher.find() ? Long.parseLong(matcher.group(1)) : 0;
  }

  /** Waits until it has looked at every page that often from now on, and found all right. */
  void awaitPasses(int passes) {
    long wanted = figure("passes") + passes + 1; // the one that it is in has begun before
    Await.until(
        LIMIT,
        () -> "it checks " + passes + " times: " + told(),
        () -> figure("passes") >= wanted || figure("wrong") > 0);
    assertRight();
  }

  /** Waits until it has looked at some more pages, and found them right. */
  void awaitChecks(long checks) {
    long wanted = figure("checked") + checks;
    Await.until(
        LIMIT,
        () -> "it checks on: " + told(),
        () -> figure("checked") >= wanted || figure("wrong") > 0);
    assertRight();
  }

  /** Asserts that no page was ever another one than the program had written. */
  void assertRight() {
    assertEquals(0, figure("wrong"), this::told);
  }

  /** All that it tells. */
  String told() {
    return Proc.read(status);
  }

  private boolean isReady() {
    return told().contains(" ready");
  }
}
