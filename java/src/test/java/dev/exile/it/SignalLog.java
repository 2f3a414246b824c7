package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A process (workloads/siglog.c) that writes down every signal it gets, and what it is sent. */
final class SignalLog {
  private static final Duration LIMIT = Duration.ofSeconds(60);

  private final Testbed bed;
  private final Path file;
  private final Daemon process;

  private SignalLog(Testbed bed, Path file, Daemon process) {
    this.bed = bed;
    this.file = file;
    this.process = process;
  }

  /** Starts one in a host; the program is compiled once per test bed. */
  static SignalLog start(Testbed bed, String host, String name) {
    Path program = bed.work().resolve("siglog");
    if (!Files.exists(program)) {
      String source = Workload.path("siglog.c");
      Commands.run(
              Map.of(),
              List.of("gcc", "-O2", "-static", "-pthread", "-o", program.toString(), source))
          .orFail();
    }
    Path file = bed.work().resolve(name + ".log");
    Daemon process = bed.daemon(host, program.toString(), file.toString());
    Await.until(LIMIT, () -> "siglog starts", () -> !lines(file).isEmpty());
    return new SignalLog(bed, file, process);
  }

  Daemon process() {
    return process;
  }

  /** A sender at work in the process's home; {@link Storm#assertArrived} takes it to its end. */
  Storm storm(int count, double seconds, long seed) {
    return new Storm(
        bed.spawn(process.home(), Workload.python("signal_storm.py", file, count, seconds, seed)));
  }

  /** One that sends its second half only once the gate, a file, is there. */
  Storm storm(int count, double seconds, long seed, Path gate) {
    return new Storm(
        bed.spawn(
            process.home(), Workload.python("signal_storm.py", file, count, seconds, seed, gate)));
  }

  /** What one sender sends. */
  final class Storm {
    private final Process sender;

    private Storm(Process sender) {
      this.sender = sender;
    }

    /** Waits for its end and asserts that the log shows just what was sent. */
    Map<String, List<String>> assertArrived() {
      Commands.Result result = Commands.await(sender, List.of("signal_storm.py")).orFail();
      Map<String, List<String>> sent = parse(result.out());
      int count = sent.values().stream().mapToInt(List::size).sum();
      Await.until(
          LIMIT,
          () -> "%d signals arrive, but: %s".formatted(count, differences(sent, received())),
          () -> count(received()) >= count);
      Map<String, List<String>> received = received();
      assertEquals(sent.keySet(), received.keySet());
      sent.forEach(
          (key, signals) ->
              assertTrue(
                  signals.equals(received.get(key)),
                  () -> difference(key, signals, received.get(key))));
      return sent;
    }
  }

  private static String differences(
      Map<String, List<String>> sent, Map<String, List<String>> received) {
    StringBuilder text = new StringBuilder(count(received) + " have");
    sent.forEach(
        (key, signals) -> {
          List<String> got = received.getOrDefault(key, List.of());
          if (!signals.equals(got)) {
            text.append('\n').append(difference(key, signals, got));
          }
        });
    return text.toString();
  }

  private static String difference(String key, List<String> sent, List<String> received) {
    int same = 0;
    while (same < Math.min(sent.size(), received.size())
        && sent.get(same).equals(received.get(same))) {
      same++;
    }
    return "%s: %d sent, %d received, the first %d alike, then sent %s and received %s"
        .formatted(
            key,
            sent.size(),
            received.size(),
            same,
            sent.subList(same, Math.min(same + 5, sent.size())),
            received.subList(same, Math.min(same + 5, received.size())));
  }

  private static int count(Map<String, List<String>> signals) {
    return signals.values().stream().mapToInt(List::size).sum();
  }

  private static Map<String, List<String>> parse(String json) {
    try {
      return new ObjectMapper().readValue(json, new TypeReference<Map<String, List<String>>>() {});
    } catch (JsonProcessingException e) {
      throw new AssertionError(json, e);
    }
  }

  /** Code, sender's PID and uid and value of each signal, by thread and number, in order. */
  Map<String, List<String>> received() {
    Map<String, List<String>> received = new TreeMap<>();
    for (String line : lines(file).stream().skip(1).toList()) {
      String[] words = line.split(" ", 3);
      received
          .computeIfAbsent(words[0] + " " + words[1], unused -> new ArrayList<>())
          .add(words[2]);
    }
    return received;
  }

  /** Whole lines only. */
  private static List<String> lines(Path file) {
    String text = Files.exists(file) ? Proc.read(file) : "";
    return text.substring(0, text.lastIndexOf('\n') + 1).lines().toList();
  }
}
