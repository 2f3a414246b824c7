package dev.exile.signals;

import dev.exile.shim.LineJob;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Finds out beforehand who could not become a deputy: after COMMIT it is too late to refuse. */
public final class Rehearsal {
  private Rehearsal() {}

  /**
   * Asks the shim's job {@code rehearse}, which touches nothing.
   *
   * @return why some of the processes could not, by PID
   * @throws ShimException where it was killed before it had told of all
   */
  public static Map<Integer, String> unfit(Shim shim, DeputyServer server, List<Integer> pids)
      throws IOException {
    List<String> arguments = new ArrayList<>(List.of("--socket", server.path().toString()));
    pids.forEach(pid -> arguments.add(Integer.toString(pid)));
    Map<Integer, String> unfit = new LinkedHashMap<>();
    Set<Integer> untold = new LinkedHashSet<>(pids);
    try (LineJob job = LineJob.start(shim, "rehearse", arguments)) {
      for (String line = job.hear(); line != null; line = job.hear()) {
        String[] words = line.split(" ", 3);
        untold.remove(Integer.valueOf(words[1]));
        if (words[0].equals("unfit")) {
          unfit.put(Integer.valueOf(words[1]), words[2]);
        }
      }
    }
    if (!untold.isEmpty()) {
      throw new ShimException(
          "the shim's job rehearse was killed: whether processes %s can become deputies is not known; try again"
              .formatted(untold));
    }
    return unfit;
  }
}
