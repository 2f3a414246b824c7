package dev.exile.cli;

import dev.exile.rpc.control.Progress;
import java.io.PrintWriter;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** A line for each phase, and a bar for one that moves bytes. */
final class BarProgressView implements ProgressView {
  private static final long MB = 1_000_000;
  private static final int UPDATE_MILLIS = 100;

  private final PrintWriter err;
  private String phase = "";
  private int round;
  private ProgressBar bar;

  BarProgressView(PrintWriter err) {
    this.err = err;
  }

  @Override
  public void progress(Progress progress) {
    boolean begins = !progress.getPhase().equals(phase);
    if (begins || progress.getRound() != round) {
      close();
      phase = progress.getPhase();
      round = progress.getRound();
    }
    if (bar == null && progress.getBytesTotal() > 0) {
      bar = newBar(phase, progress.getBytesTotal());
    } else if (bar == null && begins) {
      note(phase);
    }
    if (bar != null) {
      bar.maxHint(progress.getBytesTotal());
      bar.setExtraMessage(Words.pace(progress));
      bar.stepTo(progress.getBytesDone());
    }
  }

  private static ProgressBar newBar(String phase, long total) {
    return new ProgressBarBuilder()
        .setTaskName(phase)
        .setInitialMax(total)
        .setUnit(" MB", MB)
        .setStyle(ProgressBarStyle.ASCII)
        .setUpdateIntervalMillis(UPDATE_MILLIS)
        .hideEta()
        .build();
  }

  @Override
  public void note(String line) {
    close(); // a line in the middle of the bar would be overwritten by it
    err.println(line);
    err.flush();
  }

  /** Ends the bar; it stays on the screen as it is. */
  @Override
  public void close() {
    if (bar != null) {
      bar.close();
      bar = null;
    }
  }
}
