package dev.exile.migration;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;

/**
 * Places at which tests make an agent fail, given as the system property {@code
 * exile.fault=POINT:ACTION}. A point is {@code home.STATE} or {@code dest.STATE}, reached just
 * before the state is recorded. Actions: {@code halt} ends the agent like kill -9, {@code fail}
 * throws, {@code pause} writes RUN/fault.reached and waits for RUN/fault.go.
 */
public final class Faults {
  private static final long PAUSE_NANOS = 5_000_000;

  private final String point;
  private final String action;
  private final Path run;

  private Faults(String point, String action, Path run) {
    this.point = point;
    this.action = action;
    this.run = run;
  }

  /** Reads the property; without it no point does anything. */
  public static Faults fromProperties(Path run) {
    String[] parts = System.getProperty("exile.fault", ":").split(":", 2);
    return new Faults(parts[0], parts[1], run);
  }

  /** Does at this point what was asked for. */
  void at(String reached) {
    if (!reached.equals(point)) {
      return;
    }
    switch (action) {
      case "halt" -> Runtime.getRuntime().halt(137);
      case "fail" -> throw new IllegalStateException("fault injected at " + point);
      case "pause" -> pause();
      default -> throw new IllegalArgumentException("no such fault action: " + action);
    }
  }

  private void pause() {
    try {
      Files.writeString(run.resolve("fault.reached"), point);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    while (!Files.exists(run.resolve("fault.go"))) {
      if (Thread.currentThread().isInterrupted()) {
        throw new IllegalStateException("cancelled while paused at " + point);
      }
      LockSupport.parkNanos(PAUSE_NANOS);
    }
  }
}
