package dev.exile.memory;

import java.io.IOException;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * How an address space travels: one of the families that the paper's section 1 names. Each step is
 * called once, in this order; what is still due after the second follows on demand.
 */
public interface Algorithm {
  /** As operators write it, such as total-copy. */
  String name();

  /** Whether it must know what the process writes. */
  default boolean tracks() {
    return true;
  }

  /** Whether it cannot do without that. */
  default boolean needsTracker() {
    return false;
  }

  /** Whether the process runs before its pages are mapped, and gets each as it touches it. */
  default boolean resumesAtOnce() {
    return true;
  }

  /** Whether it leaves pages at home: the destination must be able to run the process without. */
  default boolean needsOnDemand() {
    return false;
  }

  /** Whether it sends pages to a store instead of the destination. */
  default boolean flushes() {
    return false;
  }

  /** Step 2, primary migration: what travels while the process still runs. */
  void whileRunning(HomeMemory memory, Tree tree) throws IOException, InterruptedException;

  /** In the freeze, beside CRIU's dump: sends what must go before the process runs again. */
  void whileFrozen(HomeMemory memory) throws IOException, InterruptedException;

  /** The processes that travel. */
  @FunctionalInterface
  interface Tree {
    /** Their PIDs now. */
    List<Integer> pids() throws IOException;
  }

  /** All there are; the first is what is taken where nothing is said. */
  static List<Algorithm> all() {
    return List.of(
        new Auto(),
        new TotalCopy(),
        new PreCopy(),
        new DemandPaging(),
        new EagerDirty(),
        new FileServer());
  }

  /**
   * The algorithm of that name; empty: the one to be taken where nothing is said.
   *
   * @throws IllegalArgumentException where there is none, naming those that there are
   */
  static Algorithm named(String name) {
    return all().stream()
        .filter(algorithm -> name.isEmpty() || algorithm.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "no algorithm is called '%s'; there are: %s"
                        .formatted(
                            name,
                            Stream.of(all())
                                .flatMap(List::stream)
                                .map(Algorithm::name)
                                .collect(Collectors.joining(", ")))));
  }
}
