package dev.exile.memory;

/**
 * How memory travels just now.
 *
 * @param round passes over memory so far, this one included; 0 in the freeze, or where there is
 *     none
 * @param doneBytes of this pass, as they lie in memory
 * @param totalBytes of this pass
 * @param dirtyBytesPerSecond what the process wrote during the pass before; 0: not known
 * @param bytesPerSecond of memory that is sent; 0: not known
 * @param etaMillis until all that is written has been sent; -1 where that is not known, or the
 *     process writes faster than can be sent
 */
public record Progress(
    int round,
    long doneBytes,
    long totalBytes,
    long dirtyBytesPerSecond,
    long bytesPerSecond,
    long etaMillis) {

  /** With the estimate: what is left, and what is written while that is sent, and so on. */
  static Progress of(int round, long done, long total, long dirtyRate, long rate) {
    long gain = rate - dirtyRate;
    long eta = rate == 0 || gain <= 0 ? -1 : Math.max(0, total - done) * 1000 / gain;
    return new Progress(round, done, total, dirtyRate, rate, eta);
  }
}
