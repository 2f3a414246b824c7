package dev.exile.signals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * Processes that hold the memory of a body after it has become a deputy: children of the deputy,
 * see native/src/deputize.c.
 */
public final class MemoryKeepers {
  private static final String NAME = "exile-memory";

  private MemoryKeepers() {}

  /** That of the deputy with this PID. */
  public static Optional<Integer> of(int deputy) {
    return ProcessHandle.of(deputy).stream()
        .flatMap(ProcessHandle::children)
        .filter(child -> isKeeper(child.pid()))
        .map(child -> (int) child.pid())
        .findFirst();
  }

  private static boolean isKeeper(long pid) {
    try {
      return Files.readString(Path.of("/proc/" + pid + "/comm")).strip().equals(NAME);
    } catch (IOException e) {
      return false; // it has just ended
    }
  }

  /** Ends it: nobody needs that memory any more. */
  public static void end(int deputy) {
    of(deputy).flatMap(ProcessHandle::of).ifPresent(ProcessHandle::destroyForcibly);
  }
}
