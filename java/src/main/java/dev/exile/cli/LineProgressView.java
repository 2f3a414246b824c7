package dev.exile.cli;

import dev.exile.rpc.control.Progress;
import java.io.PrintWriter;

/** A line as a phase begins, and one every other second while bytes travel. */
final class LineProgressView implements ProgressView {
  private static final long INTERVAL_NANOS = 2_000_000_000L;

  private final PrintWriter err;
  private String phase = "";
  private long lastNanos;

  LineProgressView(PrintWriter err) {
    this.err = err;
  }

  @Override
  public void progress(Progress progress) {
    boolean begins = !progress.getPhase().equals(phase);
    if (!begins && System.nanoTime() - lastNanos < INTERVAL_NANOS) {
      return;
    }
    phase = progress.getPhase();
    lastNanos = System.nanoTime();
    note(progress.getId() + ": " + phase + bytes(progress));
  }

  private static String bytes(Progress progress) {
    if (progress.getBytesDone() == 0 && progress.getBytesTotal() == 0) {
      return "";
    }
    String done = ", " + Words.bytes(progress.getBytesDone());
    return progress.getBytesTotal() == 0
        ? done
        : done + " of " + Words.bytes(progress.getBytesTotal()) + Words.pace(progress);
  }

  @Override
  public void note(String line) {
    err.println(line);
    err.flush();
  }

  @Override
  public void close() {}
}
