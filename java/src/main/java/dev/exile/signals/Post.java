package dev.exile.signals;

import dev.exile.shim.LineJob;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.IntConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The destination's half: the shim's job {@code post}, which brings signals into the processes of a
 * cell and watches for their ends. What it has delivered is on record in a file, so that nothing is
 * delivered twice, whoever dies meanwhile. One that is killed is started again when it is needed.
 *
 * <p>Thread-safe.
 */
public final class Post implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Post.class);
  private static final int ANSWER_SECONDS = 5;

  private final Shim shim;
  private final List<String> arguments;
  private final List<Integer> watched;
  private final IntConsumer onEnded;
  private Running running;
  private boolean closed;

  private record Running(LineJob job, BlockingQueue<String> answers) {}

  /**
   * A post that has not begun.
   *
   * @param init the cell's init, as this host numbers it
   * @param record where it keeps what is delivered
   * @param watched processes whose end is to be told, as the cell numbers them
   * @param onEnded told of those ends; may be told again
   */
  public Post(
      Shim shim,
      String id,
      int init,
      Path record,
      Collection<Integer> watched,
      IntConsumer onEnded) {
    this.shim = shim;
    this.arguments =
        List.of("--id", id, "--cell", Integer.toString(init), "--record", record.toString());
    this.watched = List.copyOf(watched);
    this.onEnded = onEnded;
  }

  /** Begins to watch, if it has not begun. */
  public synchronized void start() throws IOException {
    if (running != null || closed) {
      return;
    }
    Running starting =
        new Running(LineJob.start(shim, "post", arguments), new LinkedBlockingQueue<>());
    running = starting;
    Thread reader = new Thread(() -> read(starting), "post");
    reader.setDaemon(true);
    reader.start();
    for (int pid : watched) {
      if (ask("watch " + pid).startsWith("gone ")) {
        onEnded.accept(pid);
      }
    }
  }

  private void read(Running from) {
    try {
      for (String line = from.job.hear(); line != null; line = from.job.hear()) {
        if (line.startsWith("ended ")) {
          onEnded.accept(Integer.parseInt(line.substring("ended ".length())));
        } else {
          from.answers.add(line);
        }
      }
    } catch (IOException e) {
      LOG.debug("post says no more: {}", e.getMessage());
    }
    from.answers.add("error it has ended");
    lost(from);
  }

  private synchronized void lost(Running from) {
    if (from.equals(running)) {
      running = null;
    }
  }

  /**
   * Delivers, in order per process. A process that is no more counts as delivered to.
   *
   * @return per PID how many are delivered; the rest is to be tried again
   */
  public synchronized Map<Integer, Integer> deliver(List<SentSignal> batch) throws IOException {
    start();
    Map<Integer, Integer> delivered = new LinkedHashMap<>();
    Set<Integer> waiting = new HashSet<>();
    for (SentSignal signal : batch) {
      if (waiting.contains(signal.pid())) {
        continue;
      }
      String answer =
          ask(
              "deliver %d %d %d %s"
                  .formatted(
                      Math.max(1, signal.sequence()),
                      signal.pid(),
                      signal.tid(),
                      signal.siginfoText()));
      if (answer.startsWith("later ")) {
        LOG.debug("signal {} of process {}: {}", signal.number(), signal.pid(), answer);
        waiting.add(signal.pid());
      } else {
        if (answer.endsWith(" unrecorded")) {
          LOG.error("what is delivered to process {} cannot be recorded", signal.pid());
        }
        delivered.merge(signal.pid(), 1, Integer::sum);
      }
    }
    return delivered;
  }

  private String ask(String line) throws IOException {
    if (running == null) {
      throw new ShimException("post has ended");
    }
    Running asked = running;
    try {
      asked.job.say(line);
      String answer = asked.answers.poll(ANSWER_SECONDS, TimeUnit.SECONDS);
      if (answer != null && !answer.startsWith("error ")) {
        return answer;
      }
      end(asked);
      throw new ShimException("post: " + (answer == null ? "no answer to " + line : answer));
    } catch (InterruptedException e) {
      end(asked);
      Thread.currentThread().interrupt();
      throw new ShimException("interrupted while a signal was delivered");
    } catch (IOException e) {
      end(asked);
      throw e;
    }
  }

  private void end(Running ending) {
    ending.job.kill();
    lost(ending);
  }

  /** The same as {@link #close}; on return nothing of it is in the processes any more. */
  public synchronized void leave() throws IOException {
    closed = true;
    if (running != null) {
      try {
        running.job.end(ANSWER_SECONDS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new ShimException("interrupted while post ended");
      }
      running = null;
    }
  }

  @Override
  public synchronized void close() {
    closed = true;
    if (running != null) {
      running.job.close();
      running = null;
    }
  }
}
