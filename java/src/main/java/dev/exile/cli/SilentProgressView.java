package dev.exile.cli;

import dev.exile.rpc.control.Progress;
import java.io.PrintWriter;

/** Leaves progress out; notes answer the operator and are shown all the same. */
final class SilentProgressView implements ProgressView {
  private final PrintWriter err;

  SilentProgressView(PrintWriter err) {
    this.err = err;
  }

  @Override
  public void progress(Progress progress) {}

  @Override
  public void note(String line) {
    err.println(line);
    err.flush();
  }

  @Override
  public void close() {}
}
