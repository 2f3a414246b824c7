package dev.exile.linux;

import com.sun.jna.LastErrorException;

/**
 * The clocks of this host that count from some moment of its own, as this process's time namespace
 * has them, see clock_gettime(2) and time_namespaces(7). In nanoseconds.
 */
public final class Clocks {
  private static final int CLOCK_MONOTONIC = 1;
  private static final int CLOCK_BOOTTIME = 7;
  private static final long SECOND = 1_000_000_000;

  private Clocks() {}

  /** CLOCK_MONOTONIC. */
  public static long monotonic() {
    return read(CLOCK_MONOTONIC);
  }

  /** CLOCK_BOOTTIME: the same, with the time that the host was asleep. */
  public static long boottime() {
    return read(CLOCK_BOOTTIME);
  }

  private static long read(int clock) {
    long[] time = new long[2];
    try {
      LibC.clock_gettime(clock, time);
    } catch (LastErrorException e) {
      throw new IllegalStateException("no clock " + clock + " on this host", e);
    }
    return time[0] * SECOND + time[1];
  }
}
