package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Never a wrong page, whichever way the memory goes, idle or busy, of every kind of area. By hand
 * with {@code -Dexile.memory.megabytes=2048} too.
 */
@Hosts
class MemoryIT {
  private static final int MEGABYTES = Integer.getInteger("exile.memory.megabytes", 64);
  private static final int BUSY = 20_000;
  private static final Path HUGE_PAGES =
      Path.of("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");

  /** More than the program takes of 64 MB, at home and at the destination. */
  private static final int POOL = 16;

  /** How long the last page may take; home is asked for it all the time. */
  private static final Duration ARRIVAL = Duration.ofSeconds(30 + MEGABYTES / 20);

  @ParameterizedTest
  @ValueSource(
      strings = {"auto", "total-copy", "pre-copy", "demand-paging", "eager-dirty", "file-server"})
  void noPageOfAnIdleProcessIsWrong(String algorithm, Testbed bed) {
    PatternProgram program = PatternProgram.start(bed, "a", "idle-" + algorithm, MEGABYTES, 0);
    long resident = resident(program);

    JsonNode moved = move(bed, program, "b", algorithm);

    program.awaitPasses(2);
    JsonNode arrived = awaitArrival(bed, moved);
    program.assertRight();
    long missing = moved.path("missingBytes").asLong();
    int rounds = moved.path("rounds").size();
    switch (algorithm) {
      case "total-copy", "file-server" -> { // whatever is missing there, home has none of it
        assertEquals(0, rounds, moved::toString);
        assertEquals(0, missing, moved::toString);
      }
      case "auto", "pre-copy" -> {
        assertTrue(rounds > 0, moved::toString);
        assertEquals(0, missing, moved::toString);
        assertEquals(0, arrived.path("dependsOnHomeMillis").asLong(), arrived::toString);
      }
      case "demand-paging" -> {
        assertTrue(missing > (long) MEGABYTES << 19, moved::toString);
        assertTrue(arrived.path("faults").asLong() > 0, arrived::toString);
      }
      default -> assertTrue(missing > 0, moved::toString);
    }
    // What nobody has written travels once.
    assertTrue(arrived.path("bytesTransferred").asLong() <= resident * 11 / 10, arrived::toString);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"auto", "total-copy", "pre-copy", "demand-paging", "eager-dirty", "file-server"})
  void noPageOfABusyProcessIsWrong(String algorithm, Testbed bed) {
    PatternProgram program = PatternProgram.start(bed, "a", "busy-" + algorithm, MEGABYTES, BUSY);
    long mapped = program.figure("mapped");

    JsonNode moved = move(bed, program, "b", algorithm);

    long writes = program.figure("writes");
    program.awaitPasses(2);
    awaitArrival(bed, moved);
    program.assertRight();
    assertTrue(program.figure("mapped") > mapped, program::told);
    assertTrue(program.figure("writes") > writes, program::told);
  }

  @ParameterizedTest
  @CsvSource({"auto", "demand-paging"})
  void aProcessMovesOnAndComesHomeWithItsMemory(String algorithm, Testbed bed) {
    PatternProgram program = PatternProgram.start(bed, "a", "on-" + algorithm, MEGABYTES, 2000);
    JsonNode moved = move(bed, program, "b", algorithm);
    awaitArrival(bed, moved);

    move(bed, program, "c", algorithm);
    program.awaitPasses(2);
    Exile.recall(bed, "a", moved.path("id").asText());

    program.process().assertRunsOnlyOn("a");
    program.awaitPasses(2);
  }

  @Test
  void hugePagesArriveToo(Testbed bed) throws IOException {
    int before = Integer.parseInt(Files.readString(HUGE_PAGES).strip());
    int wanted = before + POOL;
    try {
      Files.writeString(HUGE_PAGES, "" + wanted);
      assumeTrue(
          Integer.parseInt(Files.readString(HUGE_PAGES).strip()) == wanted,
          "this host gives no pool of " + wanted + " huge pages");
      PatternProgram program = PatternProgram.start(bed, "a", "huge", 64, 2000);
      assertTrue(hugeBytes(program) > 0, "it was to have huge pages");

      move(bed, program, "b", "auto");

      program.awaitPasses(2);
      assertTrue(hugeBytes(program) > 0, "they are huge ones still");
    } finally {
      // Those that are in use go back once they are not.
      Files.writeString(HUGE_PAGES, "" + before);
    }
  }

  @Test
  void aStoreThatOnlyHomeReachesIsRefused(Testbed bed) {
    PatternProgram program = PatternProgram.start(bed, "a", "alone", 16, 0);
    String alone = "/run/alone"; // each host has a /run of its own
    bed.exec("a", "mkdir", alone).orFail();

    String pid = "" + program.process().pid();
    String[] words = {pid, "--to", "b", "--algorithm", "file-server", "--store", alone};
    for (String command : List.of("check", "migrate")) {
      List<String> line = new ArrayList<>(List.of(command));
      line.addAll(Arrays.asList(words));
      Commands.Result result = Exile.run(bed, "a", line.toArray(String[]::new)).result();
      assertEquals(1, result.exit(), result::toString);
      assertTrue(result.toString().contains("b does not reach the store"), result::toString);
    }
    program.process().assertRunsOnlyOn("a");
    assertEquals("", bed.exec("a", "ls", alone).orFail().out());
  }

  @Test
  void whatIsAlikeIsPackedForANarrowNetwork(Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");
    String fill = "for i = 1, 20000 do redis.call('set', 'k' .. i, string.rep('again ', 700)) end";
    bed.exec("a", "redis-cli", "eval", fill, "0").orFail();
    long resident = statusBytes(copyOn(redis, "a"), "VmRSS");
    long rate = 20L << 20;

    JsonNode moved = migrate(bed, redis, "b", "total-copy", "--bandwidth", "20M");

    String got = bed.exec("b", "redis-cli", "get", "k20000").orFail().out().strip();
    assertEquals("again ".repeat(700).strip(), got);
    long bytes = moved.path("bytesTransferred").asLong();
    assertTrue(bytes < resident / 3, () -> resident + " bytes resident, " + moved);
    long unpackedMillis = resident * 1000 / rate;
    assertTrue(moved.path("frozenMillis").asLong() < unpackedMillis, moved::toString);
  }

  @Test
  void memoryTakesNoMoreOfTheNetworkThanItMay(Testbed bed) {
    PatternProgram program = PatternProgram.start(bed, "a", "narrow", 64, 0);

    JsonNode moved = move(bed, program, "b", "auto", "--bandwidth", "32M");

    program.awaitPasses(2);
    long least = moved.path("rounds").path(0).path("bytes").asLong() * 1000 / (32L << 20);
    long took = moved.path("rounds").path(0).path("millis").asLong();
    assertTrue(took >= least * 8 / 10, moved::toString);
  }

  /** Moves it, from wherever it is; returns what the command tells. */
  private static JsonNode move(
      Testbed bed, PatternProgram program, String to, String algorithm, String... options) {
    return migrate(bed, program.process(), to, algorithm, options);
  }

  private static JsonNode migrate(
      Testbed bed, Daemon process, String to, String algorithm, String... options) {
    List<String> words = new ArrayList<>(List.of("migrate", "" + process.pid(), "--to", to));
    if (algorithm.equals("file-server")) {
      words.addAll(List.of("--store", bed.work().toString()));
    }
    words.addAll(List.of("--algorithm", algorithm, "-o", "json"));
    words.addAll(Arrays.asList(options));
    Exile.Outcome outcome = Exile.run(bed, "a", words.toArray(String[]::new));
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    assertEquals("migrated", outcome.json().path("outcome").asText(), outcome.result()::toString);
    assertEquals(algorithm, outcome.json().path("algorithm").asText());
    process.assertRunsOnlyOn(to);
    System.out.printf("moved by %s: %s%n", algorithm, outcome.json());
    return outcome.json();
  }

  /** Waits until home is not needed any more for its memory; returns what is known of it then. */
  private static JsonNode awaitArrival(Testbed bed, JsonNode moved) {
    String id = moved.path("id").asText();
    Await.until(
        ARRIVAL,
        () -> "its last page arrives: " + show(bed, id),
        () -> show(bed, id).path("dependsOnHomeMillis").asLong() >= 0);
    return show(bed, id);
  }

  private static JsonNode show(Testbed bed, String id) {
    return Exile.run(bed, "a", "show", id, "-o", "json").json();
  }

  private static long resident(PatternProgram program) {
    return statusBytes(copyOn(program.process(), "a"), "VmRSS");
  }

  private static long hugeBytes(PatternProgram program) {
    return List.of("a", "b").stream()
        .flatMap(host -> program.process().copies(host).stream())
        .mapToLong(copy -> statusBytes(copy, "HugetlbPages"))
        .sum();
  }

  private static Proc copyOn(Daemon process, String host) {
    return process.copies(host).get(0);
  }

  /** A figure of /proc/PID/status, which is in kB. */
  private static long statusBytes(Proc process, String name) {
    return Proc.read(Path.of("/proc/" + process.pid() + "/status"))
        .lines()
        .filter(line -> line.startsWith(name + ":"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) << 10)
        .sum();
  }
}
