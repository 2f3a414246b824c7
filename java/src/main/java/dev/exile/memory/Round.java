package dev.exile.memory;

/**
 * One pass over memory while the process ran.
 *
 * @param bytes that crossed the network
 * @param pages that were sent
 * @param millis how long it took
 * @param dirtyPages pages that were written meanwhile, as the next pass, or the look in the freeze,
 *     found them; 0 before that
 */
public record Round(long bytes, long pages, long millis, long dirtyPages) {
  Round leaving(long dirty) {
    return new Round(bytes, pages, millis, dirty);
  }
}
