package dev.exile.signals;

import dev.exile.shim.LineJob;
import dev.exile.shim.Shim;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shim's job {@code watch} over one migration's deputies: it notices what a deputy cannot tell
 * by itself, a SIGSTOP and a SIGKILL. One that is killed is started again.
 */
final class DeputyWatch implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(DeputyWatch.class);
  private static final long RETRY_MILLIS = 200;
  private static final long TRACED_SECONDS = 5;

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

  /** Watches one more. */
  synchronized void add(int pid) {
    if (!arguments.contains(Integer.toString(pid))) {
      arguments.add(Integer.toString(pid));
    }
    tell(pid);
  }

  /** Tries again, later, to watch one that could not be: somebody else traces it. */
  void retry(int pid) {
    CompletableFuture.delayedExecutor(TRACED_SECONDS, TimeUnit.SECONDS).execute(() -> tell(pid));
  }

  private synchronized void tell(int pid) {
    if (job != null && !closed) {
      try {
        job.say("add " + pid);
      } catch (IOException e) {
        LOG.debug("the watcher has ended, the next one knows {}: {}", pid, e.getMessage());
      }
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
        synchronized (deputies) {
          obey(withAllMore(line, running));
        }
      }
    }
  }

  private static List<String> withAllMore(String line, LineJob job) throws IOException {
    List<String> lines = new ArrayList<>(List.of(line));
    while (job.hasMore()) {
      lines.add(job.hear());
    }
    return lines;
  }

  /**
   * A stop that is over already is passed over: the SIGCONT that has ended it may have come before
   * us, from the deputy, and must not be followed by the SIGSTOP. (The watcher tells of an end
   * before it lets the deputy go on; so it is among these lines, if that SIGCONT has come.)
   */
  private void obey(List<String> lines) {
    for (int i = 0; i < lines.size(); i++) {
      String[] words = lines.get(i).split(" ", -1);
      boolean over =
          (words[0].equals("stopped") || words[0].equals("asked"))
              && lines.subList(i, lines.size()).contains("continued " + words[1]);
      if (!over) {
        obey(words);
      }
    }
  }

  private void obey(String[] words) {
    switch (words[0]) {
      case "watching" -> deputies.watched(Integer.parseInt(words[1]));
      case "asked" -> deputies.asked(Integer.parseInt(words[1]));
      case "stopped" ->
          deputies.stopped(Integer.parseInt(words[1]), words.length > 3 && words[3].equals("own"));
      case "continued" -> deputies.continued(Integer.parseInt(words[1]));
      case "ended", "gone" -> deputies.ended(Integer.parseInt(words[1]));
      case "error" -> LOG.warn("watching deputies: {}", String.join(" ", words));
      default -> LOG.warn("the watcher says '{}'", String.join(" ", words));
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
