package dev.exile.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/**
 * A named point in a migration at which an agent does something bad, just before it records that
 * state: {@code home.dumping}, {@code dest.restored}.
 *
 * @param point side and state
 * @param action halt, fail or pause
 */
record FaultPoint(String point, String action) {
  private static final String PROPERTY = "-Dexile.fault";
  private static final Duration LIMIT = Duration.ofSeconds(30);

  /** Starts the agent of a host anew, so that it meets this fault. */
  void arm(Testbed bed, String host) {
    bed.agentRestart(host, PROPERTY + "=" + point + ":" + action);
  }

  /** Sees to it that the agent of a host runs, and without faults. */
  static void disarm(Testbed bed, String host) {
    boolean sound =
        bed.agentRuns(host)
            && !Proc.read(Path.of("/proc", "" + bed.agentPid(host), "cmdline")).contains(PROPERTY);
    if (!sound) {
      bed.agentRestart(host, "");
    }
    try {
      Files.deleteIfExists(file(bed, host, "fault.reached"));
      Files.deleteIfExists(file(bed, host, "fault.go"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  void awaitReached(Testbed bed, String host) {
    Path reached = file(bed, host, "fault.reached");
    Await.until(LIMIT, () -> point + " is reached on " + host, () -> Files.exists(reached));
  }

  /** Lets an agent that pauses go on. */
  void go(Testbed bed, String host) {
    try {
      Files.createFile(file(bed, host, "fault.go"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path file(Testbed bed, String host, String name) {
    return bed.run(host).resolve("exile").resolve(name);
  }
}
