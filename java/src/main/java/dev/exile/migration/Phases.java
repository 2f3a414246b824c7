package dev.exile.migration;

import dev.exile.rpc.peer.PhaseTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** How long the phases of a further leg last, as they follow each other. For one thread. */
final class Phases {
  private final Map<String, Long> millis = new LinkedHashMap<>();
  private String current = "";
  private long sinceNanos = System.nanoTime();

  /** What went before ends, this begins. */
  void begin(String name) {
    end();
    current = name;
  }

  /** The current phase ends: these parts of it were measured where they happened. */
  void split(List<PhaseTime> parts) {
    long rest = (System.nanoTime() - sinceNanos) / 1_000_000;
    for (PhaseTime part : parts) {
      millis.merge(part.getName(), part.getMillis(), Long::sum);
      rest -= part.getMillis();
    }
    if (!current.isEmpty()) {
      millis.merge(current, Math.max(0, rest), Long::sum);
    }
    current = "";
    sinceNanos = System.nanoTime();
  }

  /** All that has ended, in order, in milliseconds. */
  Map<String, Long> end() {
    split(List.of());
    return new LinkedHashMap<>(millis);
  }

  /** The same for another host. */
  static List<PhaseTime> told(Map<String, Long> millis) {
    return millis.entrySet().stream()
        .map(
            phase ->
                PhaseTime.newBuilder().setName(phase.getKey()).setMillis(phase.getValue()).build())
        .toList();
  }
}
