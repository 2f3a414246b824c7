package dev.exile.memory;

/**
 * What an operator allows an algorithm.
 *
 * @param rounds at most so many passes over memory while the process runs
 * @param dirtyThreshold bytes: no further round where fewer were written during the last one; 0: as
 *     many as go in the freeze, see {@code maxFreezeMillis}
 * @param maxFreezeMillis how long pages may take in the freeze where the rest may follow on demand
 * @param bytesPerSecond on the network, for pages; 0: no limit
 * @param tracker the only one that may be used, see {@link Tracker.Kind}; empty: what works best
 * @param store a directory that both hosts reach, for {@link FileServer}; empty where none is named
 */
public record Limits(
    int rounds,
    long dirtyThreshold,
    int maxFreezeMillis,
    long bytesPerSecond,
    String tracker,
    String store) {
  /** Where nothing is said. */
  public static final Limits DEFAULT = new Limits(8, 0, 100, 0, "", "");
}
