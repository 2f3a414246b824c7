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
  /** The JVM option of agents that look for faults. */
  static final String OPTION = "-Dexile.faults=true";

  private static final Duration LIMIT = Duration.ofSeconds(30);

  /** Makes the agent of a host meet this fault from now on. */
  void arm(Testbed bed, String host) {
    try {
      Files.deleteIfExists(file(bed, host, "fault.reached"));
      Files.writeString(file(bed, host, "fault"), point + " " + action);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Sees to it that the agent of a host meets no fault any more; one that pauses goes on. */
  static void disarm(Testbed bed, String host) {
    try {
      Files.deleteIfExists(file(bed, host, "fault"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The same, where CRIU may have been told to fail and the agents may have been killed. */
  static void heal(Testbed bed, String... hosts) throws IOException {
    for (String host : hosts) {
      Files.deleteIfExists(bed.run(host).resolve("criu-fault"));
      disarm(bed, host);
      if (!bed.agentRuns(host)) {
        bed.agentStart(host);
      }
    }
  }

  void awaitReached(Testbed bed, String host) {
    Path reached = file(bed, host, "fault.reached");
    Await.until(LIMIT, () -> point + " is reached on " + host, () -> Files.exists(reached));
  }

  private static Path file(Testbed bed, String host, String name) {
    return bed.run(host).resolve("exile").resolve(name);
  }
}
