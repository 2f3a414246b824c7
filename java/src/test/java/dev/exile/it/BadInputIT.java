package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Bad input is refused before anything is frozen, in one line that names it. (A host of a test bed
 * sees no kernel threads; a unit test covers those.)
 */
@Hosts(
    value = {"a", "b", "c"},
    config = {
      "b=images: /run/tiny/images", // mounted by the tests that need it
      "c=images: /run/tiny/images",
    })
class BadInputIT {

  @ParameterizedTest
  @ValueSource(strings = {"999999", "no-such-program"})
  void processThatDoesNotExist(String target, Testbed bed) {
    assertRefused(Exile.migrate(bed, "a", target, "b"), target);
  }

  @Test
  void init(Testbed bed) {
    assertRefused(Exile.migrate(bed, "a", 1, "b"), "1");
  }

  @Test
  void agentItself(Testbed bed) {
    int agent =
        bed.processes("a").stream()
            .filter(process -> process.pid() == bed.agentPid("a"))
            .findFirst()
            .orElseThrow()
            .hostPid();
    assertRefused(Exile.migrate(bed, "a", agent, "b"), "" + agent, "agent");
  }

  @Test
  void nameThatFitsTwoProcesses(Testbed bed) {
    Daemon one = bed.daemon("a", "sleep", "1000");
    Daemon two = bed.daemon("a", "sleep", "1000");
    assertRefused(Exile.migrate(bed, "a", "sleep", "b"), "" + one.pid(), "" + two.pid());
  }

  @Test
  void processThatIsAwayAlready(Testbed bed) {
    Daemon process = bed.daemon("a", "sleep", "1000");
    Exile.move(bed, process, "b");

    assertRefused(Exile.migrate(bed, "a", process.pid(), "b"), "" + process.pid());

    process.assertRunsOnlyOn("b");
  }

  @Test
  void hostThatNobodyKnows(Testbed bed) {
    Daemon process = bed.daemon("a", "sleep", "1000");
    assertRefused(Exile.migrate(bed, "a", process.pid(), "nowhere"), "nowhere");
    process.assertRunsOnlyOn("a");
  }

  @Test
  void hostThatDoesNotAnswer(Testbed bed) {
    Daemon process = bed.daemon("a", "sleep", "1000");
    bed.agentStop("c", "TERM");
    try {
      assertRefused(
          Exile.migrate(bed, "a", process.pid(), "c"),
          "cannot reach c at " + bed.ip("c") + ":7433: Connection refused");
    } finally {
      bed.agentStart("c");
    }
    process.assertRunsOnlyOn("a");
  }

  @Test
  void hostItself(Testbed bed) {
    Daemon process = bed.daemon("a", "sleep", "1000");
    assertRefused(Exile.migrate(bed, "a", process.pid(), "a"), "a");
    process.assertRunsOnlyOn("a");
  }

  @Test
  void executableOfAnotherVersion(Testbed bed) throws IOException {
    Path sleep = Path.of("/bin/sleep").toRealPath();
    Path here = bed.run("a").resolve("sleep-2");
    Path there = bed.run("b").resolve("sleep-2");
    Files.copy(
        sleep, here, StandardCopyOption.COPY_ATTRIBUTES, StandardCopyOption.REPLACE_EXISTING);
    byte[] changed = Files.readAllBytes(sleep);
    changed[buildId(changed)] ^= 1;
    Files.write(there, changed);
    assertTrue(there.toFile().setExecutable(true));
    Daemon process = bed.daemon("a", "/run/sleep-2", "1000");

    assertRefused(Exile.migrate(bed, "a", process.pid(), "b"), "/run/sleep-2");

    process.assertRunsOnlyOn("a");
  }

  @Test
  void everyReasonIsToldAtOnce(Testbed bed) throws IOException {
    Path only = bed.run("a").resolve("redis-only-here");
    Files.copy(
        Path.of("/usr/bin/redis-server").toRealPath(),
        only,
        StandardCopyOption.COPY_ATTRIBUTES,
        StandardCopyOption.REPLACE_EXISTING);
    bed.python("b", "seeded_server.py", "0.0.0.0", Servers.REDIS_PORT);
    bed.awaitListening("b", Servers.REDIS_PORT);
    Daemon process = Servers.redis(bed, "a", "/run/redis-only-here");

    Exile.Outcome check = Exile.run(bed, "a", "check", "" + process.pid(), "--to", "b");

    assertEquals(1, check.exit(), check.result()::toString);
    String said = check.result().out() + check.result().err();
    assertTrue(said.contains("/run/redis-only-here"), said);
    assertTrue(said.contains("6379"), said);
    process.assertRunsOnlyOn("a");
  }

  @Test
  void privateMemoryNeedsNoRoomAmongTheImages(Testbed bed) {
    mountImages(bed, "b", "96m");
    mountImages(bed, "c", "96m");
    try {
      Daemon redis = Servers.redis(bed, "c");
      String fill = "for i = 1, 300 do redis.call('set', i, string.rep('x', 2 ^ 20)) end";
      bed.exec("c", "redis-cli", "eval", fill, "0").orFail();

      Exile.Outcome outcome = Exile.migrate(bed, "c", redis.pid(), "b");

      assertEquals(0, outcome.exit(), outcome.result()::toString);
      String length = bed.exec("b", "redis-cli", "strlen", "300").orFail().out();
      assertEquals("1048576", length.strip());
      redis.assertRunsOnlyOn("b");
    } finally {
      bed.exec("b", "umount", "/run/tiny").orFail();
      bed.exec("c", "umount", "/run/tiny").orFail();
    }
  }

  private static void mountImages(Testbed bed, String host, String size) {
    bed.exec(host, "mount", "-t", "tmpfs", "-o", "size=" + size, "tmpfs", "/run/tiny").orFail();
    bed.exec(host, "mkdir", "/run/tiny/images").orFail();
  }

  @Test
  void destinationWithoutRoomForTheImages(Testbed bed) {
    mountImages(bed, "b", "1m");
    try {
      Daemon redis = Servers.redis(bed, "a");
      assertRefused(
          Exile.migrate(bed, "a", redis.pid(), "b"), "no room for the images", "/run/tiny", "b");
      redis.assertRunsOnlyOn("a");
    } finally {
      bed.exec("b", "umount", "/run/tiny").orFail();
    }
  }

  @Test
  void homeWithoutRoomForTheImages(Testbed bed) {
    mountImages(bed, "c", "1m");
    try {
      Daemon redis = Servers.redis(bed, "c");
      assertRefused(
          Exile.migrate(bed, "c", redis.pid(), "a"), "no room for the images", "/run/tiny", "c");
      redis.assertRunsOnlyOn("c");
    } finally {
      bed.exec("c", "umount", "/run/tiny").orFail();
    }
  }

  @Test
  void processThatIsNoneOfTheOperatorsWords(Testbed bed) {
    Exile.Outcome outcome = Exile.run(bed, "a", "migrate");
    assertEquals(2, outcome.exit(), outcome.result()::toString);
  }

  private static void assertRefused(Exile.Outcome outcome, String... causes) {
    outcome.assertFails("refused", causes);
    List<String> reasons =
        outcome.json().isMissingNode()
            ? outcome.result().err().lines().toList()
            : outcome.json().path("reason").asText().lines().toList();
    assertEquals(1, reasons.size(), outcome.result()::toString);
    System.out.println("refused: " + reasons.get(0));
  }

  // One byte of the build-id note: the program still runs, its size is the same.
  private static int buildId(byte[] program) {
    byte[] mark = "\4\0\0\0\24\0\0\0\3\0\0\0GNU\0".getBytes(StandardCharsets.ISO_8859_1);
    for (int at = 0; at < program.length - mark.length; at++) {
      if (java.util.Arrays.equals(program, at, at + mark.length, mark, 0, mark.length)) {
        return at + mark.length;
      }
    }
    throw new AssertionError("no build-id in the program");
  }
}
