package dev.exile.cli;

import dev.exile.rpc.control.Progress;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;

/** Shows how a migration goes on, on standard error. */
interface ProgressView extends AutoCloseable {
  /** The phase that has begun or goes on. */
  void progress(Progress progress);

  /** A line between the others. */
  void note(String line);

  @Override
  void close();

  /** A bar on a terminal; else lines, or nothing where a program reads the result. */
  static ProgressView forStandardError(boolean json, PrintWriter err) {
    if (isTerminal(2)) {
      return new BarProgressView(err);
    }
    return json ? new SilentProgressView(err) : new LineProgressView(err);
  }

  /** {@code System.console()} asks for standard input and output, and we write to neither. */
  static boolean isTerminal(int fd) {
    try {
      String file = Files.readSymbolicLink(Path.of("/proc/self/fd/" + fd)).toString();
      return file.startsWith("/dev/pts/")
          || file.startsWith("/dev/tty")
          || file.equals("/dev/console");
    } catch (IOException e) {
      return false; // closed, or no /proc: lines are right in any case
    }
  }
}
