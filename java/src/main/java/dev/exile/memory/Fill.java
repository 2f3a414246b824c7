package dev.exile.memory;

import dev.exile.shim.LineJob;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The shim's job {@code fill}: puts all pages of a restored process in their places,
 * native/src/fill.c.
 */
public final class Fill {
  private Fill() {}

  /**
   * Fills a process that has not run yet.
   *
   * @param pid as this host numbers it
   * @param directory where its plan may be written
   */
  public static void fill(Shim shim, int pid, Plan plan, Store store, Path directory)
      throws IOException {
    Path file = directory.resolve("plan-" + plan.pid());
    Files.write(file, plan.lines());
    List<String> arguments =
        List.of(Integer.toString(pid), store.path(plan.pid()).toString(), file.toString());
    try (LineJob job = LineJob.start(shim, "fill", arguments)) {
      String answer = job.hear();
      if (answer == null || !answer.startsWith("filled ")) {
        throw new ShimException(
            "memory of process %d cannot be written: %s"
                .formatted(plan.pid(), answer == null ? "fill has died" : answer));
      }
    }
  }
}
