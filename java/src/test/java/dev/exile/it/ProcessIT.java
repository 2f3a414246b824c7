package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Processes without sockets. */
@Hosts({"a", "b"})
class ProcessIT {

  @ParameterizedTest
  @ValueSource(ints = {1, 20})
  void threadsGoOnFromWhereTheyWere(int threads, Testbed bed) {
    Path file = bed.work().resolve("ticks" + threads);
    Daemon ticker = bed.python("a", "ticker.py", file, threads);
    awaitTicks(file, threads, 20);
    long before = lowest(file);

    JsonNode moved = Exile.move(bed, ticker, "b");

    assertEquals(0, moved.path("sockets").path("established").asInt(), moved::toString);
    long after = lowest(file);
    assertTrue(after >= before, "counts went back from " + before + " to " + after);
    awaitTicks(file, threads, after + 50);
  }

  @Test
  void isGoneEverywhereOnceItHasEnded(Testbed bed) {
    Path file = bed.work().resolve("ticks");
    Daemon ticker = bed.python("a", "ticker.py", file);
    awaitTicks(file, 1, 10);
    Exile.move(bed, ticker, "b");

    ticker.kill();

    Await.until(
        Duration.ofSeconds(10),
        () -> "no copy of the process at home: " + ticker.copies("a"),
        () -> ticker.copies("a").isEmpty() && ticker.copies("b").isEmpty());
  }

  private static void awaitTicks(Path file, int threads, long count) {
    Await.until(
        Duration.ofSeconds(20),
        () -> threads + " threads count to " + count + ": " + counts(file),
        () -> counts(file).size() == threads && lowest(file) >= count);
  }

  private static long lowest(Path file) {
    return counts(file).stream().mapToLong(Long::longValue).min().orElse(0);
  }

  private static List<Long> counts(Path file) {
    return Proc.read(file)
        .lines()
        .filter(line -> line.length() == 23)
        .map(line -> Long.parseLong(line.substring(8).strip()))
        .toList();
  }
}
