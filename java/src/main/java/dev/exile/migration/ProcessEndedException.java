package dev.exile.migration;

import java.io.IOException;

/** The process has ended, by itself or killed, before its migration was decided. */
final class ProcessEndedException extends IOException {
  private static final long serialVersionUID = 1;

  ProcessEndedException(int pid) {
    super("process " + pid + " has ended");
  }
}
