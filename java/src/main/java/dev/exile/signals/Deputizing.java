package dev.exile.signals;

import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * What it takes to turn frozen bodies into deputies.
 *
 * @param id the migration's
 * @param processes start times of the processes that were frozen, in clock ticks since boot, by
 *     PID; the root first: the one whose parent stays at home
 * @param cgroup that the bodies stand frozen in; may be gone, when all is done
 * @param origins the cgroup that each goes back to, by PID
 * @param title what {@code ps} shows
 * @param keepMemory whether the bodies' memory is still needed, see {@link MemoryKeepers}
 */
public record Deputizing(
    String id,
    Map<Integer, Long> processes,
    Path cgroup,
    Map<Integer, Path> origins,
    String title,
    boolean keepMemory) {
  private static final int LIMIT_SECONDS = 60;

  /** One that was killed (an exit value of 128 + signal) is started again so many times. */
  private static final int RUNS = 5;

  private static final int KILLED = 128;

  /**
   * Runs the shim's job {@code deputize}, which may be done again.
   *
   * @param socket where the deputies find this agent
   * @param transcript the file that its lines are appended to
   * @throws ShimException where not every body has become a deputy; the others stay frozen
   */
  void run(Shim shim, Path socket, Path transcript) throws IOException {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--cgroup",
                cgroup.toString(),
                "--id",
                id,
                "--socket",
                socket.toString(),
                "--title",
                title));
    if (keepMemory) {
      arguments.add("--keep-memory");
    }
    origins.forEach((pid, origin) -> arguments.addAll(List.of("--back", pid + "=" + origin)));
    int exit = KILLED;
    for (int run = 0; run < RUNS && exit >= KILLED; run++) {
      exit = run(shim.job("deputize", arguments), transcript);
    }
    if (exit != 0) {
      String error = Transcript.read(transcript).error();
      throw new ShimException(error == null ? "deputize ended with " + exit : error);
    }
  }

  private static int run(List<String> command, Path transcript) throws IOException {
    Process process =
        new ProcessBuilder(command)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(transcript.toFile()))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try {
      if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new ShimException("deputize has not ended within " + LIMIT_SECONDS + " s");
      }
      return process.exitValue();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ShimException("interrupted while processes became deputies");
    }
  }
}
