package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** No signal for which kill returned 0 is lost or doubled; order and siginfo are kept. */
@Hosts({"a", "b"})
class SignalsIT {
  private static final int COUNT = Integer.getInteger("exile.it.signals", 10_000);
  private static final int MOVES = Integer.getInteger("exile.it.moves", 12);

  @Test
  void signalsOfEveryKindArriveJustAsTheyWereSent(Testbed bed)
      throws InterruptedException, IOException {
    SignalLog log = SignalLog.start(bed, "a", "storm");
    Path moves = bed.work().resolve("moved");
    SignalLog.Storm storm = log.storm(COUNT, 8, 1, moves);
    TimeUnit.MILLISECONDS.sleep(300);

    JsonNode moved = Exile.move(bed, log.process(), "b");
    awaitDrained(bed, moved);
    Files.createFile(moves);

    Map<String, List<String>> sent = storm.assertArrived();
    int count = sent.values().stream().mapToInt(List::size).sum();
    assertEquals(COUNT, count);
    JsonNode shown = signals(bed, moved);
    long held = sum(shown, "held");
    long forwarded = sum(shown, "forwarded");
    System.out.printf("%d signals sent, %d held, %d forwarded%n", count, held, forwarded);
    assertTrue(held > 0, shown::toString);
    assertTrue(forwarded > 0, shown::toString);
    assertTrue(held + forwarded <= count, shown::toString);
  }

  /**
   * The deputy calls held what it finds until it has once found nothing: that takes a busy host a
   * while.
   */
  private static void awaitDrained(Testbed bed, JsonNode moved) throws InterruptedException {
    long before = -1;
    for (long held = 0; held != before; held = sum(signals(bed, moved), "held")) {
      before = held;
      TimeUnit.SECONDS.sleep(1);
    }
  }

  private static JsonNode signals(Testbed bed, JsonNode moved) {
    String id = moved.path("id").asText();
    return Exile.run(bed, "a", "show", id, "-o", "json").json().path("signals");
  }

  private static long sum(JsonNode signals, String field) {
    long sum = 0;
    for (JsonNode number : signals) {
      sum += number.path(field).asLong();
    }
    return sum;
  }

  @Test
  void agentsMayDieAndNoSignalIsLostOrDoubled(Testbed bed) throws InterruptedException {
    SignalLog log = SignalLog.start(bed, "a", "deaths");
    Exile.move(bed, log.process(), "b");
    SignalLog.Storm storm = log.storm(6_000, 15, 2);
    for (String host : List.of("a", "b", "a", "b")) {
      TimeUnit.MILLISECONDS.sleep(500);
      bed.agentStop(host, "KILL");
      bed.agentStart(host);
    }

    storm.assertArrived();
  }

  @Test
  void aSignalAtAnyMomentOfAMoveArrivesOnce(Testbed bed) {
    for (int move = 0; move < MOVES; move++) {
      SignalLog log = SignalLog.start(bed, "a", "move" + move);
      SignalLog.Storm storm = log.storm(8, 1.2, move);

      Exile.move(bed, log.process(), "b");

      storm.assertArrived();
      log.process().kill();
      int last = move;
      Await.until(
          Duration.ofSeconds(10),
          () -> "the end of move " + last,
          () -> log.process().copies("a").isEmpty() && log.process().copies("b").isEmpty());
    }
  }

  @Test
  void whoIsStoppedAndContinuedAtOnceRunsInTheEnd(Testbed bed) throws InterruptedException {
    SignalLog log = SignalLog.start(bed, "a", "stops");
    Exile.move(bed, log.process(), "b");
    int pid = log.process().pid();
    String stops =
        """
        import os, random, time
        for i in range(%d):
            for number in (19, 18):
                os.kill(%d, number)
                time.sleep(random.random() * 0.005)
        """;
    for (int round = 0; round < 20; round++) {
      bed.exec("a", "/usr/bin/python3", "-c", stops.formatted(MOVES, pid)).orFail();

      TimeUnit.MILLISECONDS.sleep(300);
      for (String host : List.of("a", "b")) {
        Await.until(
            Duration.ofSeconds(3),
            () -> "it runs: " + at("a", pid, bed) + ", " + at("b", pid, bed),
            () -> at(host, pid, bed).stream().allMatch(process -> process.state() == 'S'));
      }
    }
    log.process().kill();
  }

  private static List<Proc> at(String host, int pid, Testbed bed) {
    return bed.processes(host, pid);
  }
}
