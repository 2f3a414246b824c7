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
      Path proc = Path.of("/proc", Integer.toString(bed.agentPid(host)));
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
    return kind.endsWith("threads") || kind.endsWith("descriptors") ? 10 : 0;
  }
}
