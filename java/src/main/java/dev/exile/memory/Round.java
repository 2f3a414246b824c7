package dev.exile.memory;

/**
 * One pass over memory while the process ran.
 *
 * @param bytes that crossed the network
 * @param pages that were sent
 * @param millis how long it took
 * @param dirtyPages pages that had been written since the pass before; of the first, all
 */
public record Round(long bytes, long pages, long millis, long dirtyPages) {}
