package dev.exile.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** How much of everything the agents of a test bed hold: numbers by HOST and kind. */
record Footprint(Map<String, Long> numbers) {

  static Footprint of(Testbed bed) {
    Map<String, Long> numbers = new TreeMap<>();
    for (String host : bed.hosts()) {
      int agent = bed.agentPid(host);
      Path proc = Path.of("/proc", Integer.toString(agent));
      numbers.put(host + " heap bytes", liveBytes(bed, host, agent));
      numbers.put(host + " resident kB", residentKilobytes(proc));
      numbers.put(host + " descriptors", count(proc.resolve("fd")));
      numbers.put(host + " threads", count(proc.resolve("task")));
      Traces traces = Traces.of(bed, host);
      numbers.put(host + " cgroups", (long) traces.cgroups().size());
      numbers.put(host + " mounts", (long) traces.mounts().size());
      numbers.put(host + " rules", (long) traces.rules().size());
      numbers.put(host + " files", (long) traces.files().size());
      numbers.put(host + " processes", (long) bed.processes(host).size());
    }
    return new Footprint(numbers);
  }

  /** What the agent's heap holds after a full collection. */
  private static long liveBytes(Testbed bed, String host, int agent) {
    int inner =
        bed.processes(host).stream()
            .filter(process -> process.pid() == agent)
            .findFirst()
            .orElseThrow()
            .innerPid();
    String jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd").toString();
    return bed.exec(host, jcmd, "" + inner, "GC.class_histogram")
        .orFail()
        .out()
        .lines()
        .filter(line -> line.startsWith("Total "))
        .mapToLong(line -> Long.parseLong(line.strip().split(" +", -1)[2]))
        .sum();
  }

  private static long residentKilobytes(Path proc) {
    return Proc.read(proc.resolve("status"))
        .lines()
        .filter(line -> line.startsWith("VmRSS:"))
        .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")))
        .sum();
  }

  private static long count(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.count();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Asserts that it is no larger now, but for a few that the JVM's pools come and go with. */
  static void assertNoMore(Footprint before, Testbed bed, Duration patience) {
    Await.until(
        patience,
        () -> "no more than " + before.numbers + ", but: " + of(bed).numbers,
        () -> of(bed).isWithin(before));
  }

  private boolean isWithin(Footprint before) {
    return numbers.entrySet().stream()
        .allMatch(
            entry ->
                entry.getValue() <= before.numbers.get(entry.getKey()) + slack(entry.getKey()));
  }

  private static long slack(String kind) {
    return switch (kind.substring(kind.indexOf(' ') + 1)) {
      case "threads", "descriptors" -> 10;
      case "heap bytes" -> 4 << 20; // of a hundred journeys, 40 KB each would show
      case "resident kB" -> 100 << 10; // what the JVM has taken from the system and keeps
      default -> 0;
    };
  }
}
