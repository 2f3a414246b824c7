package dev.exile.migration;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.locks.LockSupport;

/**
 * Places at which tests make an agent fail. An agent that was started with {@code
 * -Dexile.faults=true}, and no other, looks for RUN/fault, which holds {@code POINT ACTION}. A
 * point is {@code home.STATE} or {@code dest.STATE}, reached just before the state is recorded.
 * Actions: {@code halt} ends the agent like kill -9, {@code fail} throws, {@code pause} writes
 * RUN/fault.reached and waits until RUN/fault is removed.
 */
public final class Faults {
  private static final long PAUSE_NANOS = 5_000_000;

  private final boolean enabled;
  private final Path file;
  private final Path reached;

  Faults(boolean enabled, Path run) {
    this.enabled = enabled;
    this.file = run.resolve("fault");
    this.reached = run.resolve("fault.reached");
  }

  /** The faults of an agent with that run directory. */
  public static Faults fromProperties(Path run) {
    return new Faults(Boolean.getBoolean("exile.faults"), run);
  }

  /** Does at this point what was asked for. */
  void at(String point) {
    if (!enabled || !Files.exists(file)) {
      return;
    }
    try {
      String[] words = Files.readString(file).trim().split(" ", -1);
      if (words[0].equals(point)) {
        act(point, words[1]);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private void act(String point, String action) throws IOException {
    switch (action) {
      case "halt" -> Runtime.getRuntime().halt(137);
      case "fail" -> throw new IllegalStateException("fault injected at " + point);
      case "pause" -> pause(point);
      default -> throw new IllegalArgumentException("no such fault action: " + action);
    }
  }

  private void pause(String point) throws IOException {
    Files.writeString(reached, point);
    while (Files.exists(file)) {
      if (Thread.currentThread().isInterrupted()) {
        throw new IllegalStateException("cancelled while paused at " + point);
      }
      LockSupport.parkNanos(PAUSE_NANOS);
    }
  }
}
