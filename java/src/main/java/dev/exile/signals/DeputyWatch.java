package dev.exile.signals;

import dev.exile.shim.LineJob;
import dev.exile.shim.Shim;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shim's job {@code watch} over one migration's deputies: it notices what a deputy cannot tell
 * by itself, a SIGSTOP and a SIGKILL. One that is killed is started again.
 */
final class DeputyWatch implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(DeputyWatch.class);
  private static final long RETRY_MILLIS = 200;

  private final Shim shim;
  private final List<String> arguments;
  private final Deputies deputies;
  private LineJob job;
  private boolean closed;

  /** Begins to watch, on a thread of its own. */
  DeputyWatch(Shim shim, String id, List<Integer> pids, Deputies deputies) {
    this.shim = shim;
    this.deputies = deputies;
    arguments = new ArrayList<>(List.of("--id", id));
    pids.forEach(pid -> arguments.add(Integer.toString(pid)));
    Thread thread = new Thread(this::run, "deputies-" + id);
    thread.setDaemon(true);
    thread.start();
  }

  private void run() {
    try {
      while (!isClosed()) {
        try {
          watch();
        } catch (IOException e) {
          LOG.warn("deputies are not watched, trying again: {}", e.getMessage());
        }
        Thread.sleep(RETRY_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized boolean isClosed() {
    return closed;
  }

  private void watch() throws IOException {
    LineJob running;
    synchronized (this) {
      if (closed) {
        return;
      }
      running = LineJob.start(shim, "watch", arguments);
      job = running;
    }
    try (running) {
      for (String line = running.hear(); line != null; line = running.hear()) {
        obey(line.split(" ", -1));
      }
    }
  }

  private void obey(String[] words) {
    switch (words[0]) {
      case "stopped" -> deputies.stopped(Integer.parseInt(words[1]));
      case "continued" -> deputies.continued(Integer.parseInt(words[1]));
      case "ended", "gone" -> deputies.ended(Integer.parseInt(words[1]));
      case "error" -> LOG.warn("watching deputies: {}", String.join(" ", words));
      default -> {} // "watching"
    }
  }

  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      if (job != null) {
        job.close();
      }
    }
  }
}
