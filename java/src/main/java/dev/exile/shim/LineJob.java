package dev.exile.shim;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A running job of the shim that reads lines and says lines. It ends when its input does: at {@link
 * #close}, or when this agent dies.
 *
 * <p>{@link #say} may be called from any thread; one thread at a time may {@link #hear}.
 */
public final class LineJob implements AutoCloseable {
  private final Process process;
  private final BufferedWriter in;
  private final BufferedReader out;

  private LineJob(Process process) {
    this.process = process;
    this.in = process.outputWriter(StandardCharsets.UTF_8);
    this.out = process.inputReader(StandardCharsets.UTF_8);
  }

  /** Starts it. */
  public static LineJob start(Shim shim, String job, List<String> arguments) throws IOException {
    return new LineJob(
        new ProcessBuilder(shim.job(job, arguments))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start());
  }

  /**
   * Tells it a line.
   *
   * @throws IOException where it has ended
   */
  public void say(String line) throws IOException {
    synchronized (in) {
      in.write(line + "\n");
      in.flush();
    }
  }

  /** The next line that it says; null once it has ended. */
  public String hear() throws IOException {
    return out.readLine();
  }

  /** Whether it has said a line that has not been heard yet. */
  public boolean hasMore() throws IOException {
    return out.ready();
  }

  /** Its PID. */
  public int pid() {
    return (int) process.pid();
  }

  /** Ends it by force. */
  public void kill() {
    process.destroyForcibly();
  }

  /** The same as {@link #close}, and waits until it has ended; not for ever. */
  public void end(int seconds) throws InterruptedException {
    close();
    if (!process.waitFor(seconds, TimeUnit.SECONDS)) {
      kill();
    }
  }

  /** Ends its input, at which it ends by itself. */
  @Override
  public void close() {
    try {
      synchronized (in) {
        in.close();
      }
    } catch (IOException e) {
      kill(); // it has ended, or reads no more
    }
  }
}
