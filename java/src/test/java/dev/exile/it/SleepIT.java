package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Waits that have an end, across a move. */
@Hosts({"a", "b"})
class SleepIT {
  private static final int SECONDS = 8;
  private static final int KINDS = 13;
  private static final Duration LIMIT = Duration.ofSeconds(20);

  /** A sleep that starts over would be late by what had passed before the move, seconds. */
  private static final long LATE_MILLIS = 2_500;

  /** Home's clocks, too, a day ahead of the destination's. */
  @ParameterizedTest
  @ValueSource(longs = {0, 86_400})
  void everyKindOfSleepEndsWhenItWouldHaveEnded(long ahead, Testbed bed) throws Exception {
    Path file = bed.work().resolve("slept" + ahead);
    String[] sleeper = Workload.python("sleeper.py", file, SECONDS).toArray(String[]::new);
    Daemon daemon = ahead == 0 ? bed.daemon("a", sleeper) : ahead(bed, ahead, sleeper);
    Await.until(LIMIT, () -> "it sleeps", () -> Proc.read(file).contains("ready"));
    Thread.sleep(3_000); // long enough for one that starts over to be told from one that does not

    Exile.move(bed, daemon, "b");

    Await.until(LIMIT, () -> "all sleeps end: " + ends(file), () -> ends(file).size() == KINDS);
    System.out.printf("clock %d s ahead: %s%n", ahead, ends(file));
    ends(file)
        .forEach(
            (kind, end) -> {
              assertEquals(0, end.get(0), () -> kind + " returned that: " + ends(file));
              assertTrue(end.get(1) > -500, () -> kind + " ended too early: " + ends(file));
              assertTrue(end.get(1) < LATE_MILLIS, () -> kind + " ended too late: " + ends(file));
            });
  }

  /** A process of a time namespace of its own, as if its host had been up for longer. */
  private static Daemon ahead(Testbed bed, long seconds, String... command) {
    String[] words = new String[command.length + 7];
    List<String> unshare =
        List.of("unshare", "--time", "--monotonic", "" + seconds, "--boottime", "" + seconds, "--");
    for (int i = 0; i < words.length; i++) {
      words[i] = i < 7 ? unshare.get(i) : command[i - 7];
    }
    return bed.daemon("a", words);
  }

  /** By kind: what it returned, and how many milliseconds too late. */
  private static Map<String, List<Long>> ends(Path file) {
    Map<String, List<Long>> ends = new TreeMap<>();
    Proc.read(file)
        .lines()
        .map(line -> line.split(" ", -1))
        .filter(words -> words.length == 3 && !words[0].equals("ready"))
        .forEach(
            words -> ends.put(words[0], List.of(Long.valueOf(words[1]), Long.valueOf(words[2]))));
    return ends;
  }
}
