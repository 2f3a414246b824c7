package dev.exile.memory;

/** Keeps what is sent below a rate. One thread at a time. */
final class Throttle {
  private static final long SECOND = 1_000_000_000L;

  /** So much may be made up for after a pause. */
  private static final long BURST_NANOS = SECOND / 20;

  private final long bytesPerSecond;
  private long freeAt = System.nanoTime();

  /**
   * @param bytesPerSecond 0: no limit
   */
  Throttle(long bytesPerSecond) {
    this.bytesPerSecond = bytesPerSecond;
  }

  private long nanos(long bytes) {
    return bytes * SECOND / bytesPerSecond;
  }

  /** Waits until so many bytes may go. */
  void await(long bytes) throws InterruptedException {
    if (bytesPerSecond == 0) {
      return;
    }
    long now = System.nanoTime();
    freeAt = Math.max(freeAt, now - BURST_NANOS) + nanos(bytes);
    long wait = freeAt - now;
    if (wait > 0) {
      Thread.sleep(wait / 1_000_000, (int) (wait % 1_000_000));
    }
  }
}
