package dev.exile.signals;

import dev.exile.process.Proc;
import dev.exile.shim.Shim;
import io.netty.channel.Channel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's half of one migration's signals: the deputies, what they have taken and is on its way to
 * the destination, and what the real processes do, which the deputies do after them.
 *
 * <p>A signal leaves its deputy only when the destination has delivered it: this agent may die at
 * any moment, and the next one asks the deputies again. Thread-safe.
 */
public final class Deputies implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Deputies.class);
  private static final int BATCH = 128;
  private static final long RETRY_MILLIS = 500;
  private static final long LATER_MILLIS = 20;
  private static final long POLL_MILLIS = 5;
  private static final int STOPS_PER_TICK_BITS = 20;

  private final Shim shim;
  private final DeputyServer server;
  private final Path transcript;
  private final Deputizing deputizing;
  private final int root;
  private final Delivery delivery;
  private final Consumer<List<SentSignal>> onDelivered;
  private final Map<Integer, Deputy> deputies = new LinkedHashMap<>();
  private final Map<Integer, Deque<SentSignal>> queues = new LinkedHashMap<>();
  private final Thread courier;
  private DeputyWatch watch;
  private boolean closed;

  /** The last number of a SIGSTOP: above all that former agents gave, by when this one began. */
  private long stops =
      Proc.info((int) ProcessHandle.current().pid()).orElseThrow().startTicks()
          << STOPS_PER_TICK_BITS;

  /** The way to the destination. */
  @FunctionalInterface
  public interface Delivery {
    /**
     * Delivers, in order.
     *
     * @return per PID how many of the batch are delivered; what follows is to be sent again
     * @throws IOException where that is not known: all is to be sent again
     */
    Map<Integer, Integer> deliver(List<SentSignal> batch) throws IOException;
  }

  /**
   * The deputies of a migration, none of which is looked at before {@link #start}.
   *
   * @param transcript a file for what the shim says, kept until {@link #forget}
   * @param onDelivered told what has been delivered
   */
  public Deputies(
      Deputizing deputizing,
      Shim shim,
      DeputyServer server,
      Path transcript,
      Delivery delivery,
      Consumer<List<SentSignal>> onDelivered) {
    this.deputizing = deputizing;
    this.root = deputizing.processes().keySet().iterator().next();
    this.shim = shim;
    this.server = server;
    this.transcript = transcript;
    this.delivery = delivery;
    this.onDelivered = onDelivered;
    courier = new Thread(this::forward, "signals-" + deputizing.id());
    courier.setDaemon(true);
  }

  /**
   * Turns the frozen bodies into deputies, or finds those that a former agent has made, and begins
   * to forward.
   *
   * @throws IOException where some bodies stay frozen; the others are deputies
   */
  public void start() throws IOException {
    server.register(deputizing.id(), this);
    courier.start();
    try {
      deputizing.run(shim, server.path(), transcript);
    } finally {
      begin();
    }
  }

  private synchronized void begin() throws IOException {
    Transcript said = Transcript.read(transcript);
    for (int pid : deputizing.processes().keySet()) {
      if (said.ended(pid)) {
        killed(pid);
      } else if (said.held().containsKey(pid) && !said.frozen().contains(pid)) {
        deputy(pid);
      }
    }
    watch = new DeputyWatch(shim, deputizing.id(), List.copyOf(deputies.keySet()), this);
  }

  /** Known from its first connection, or from the transcript, whichever is first. */
  private Deputy deputy(int pid) throws IOException {
    Deputy known = deputies.get(pid);
    if (known == null) {
      // Complete as far as this process is concerned: it was written before there was a deputy.
      Transcript said = Transcript.read(transcript);
      known = new Deputy(pid, deputizing.processes().get(pid), said.heldOf(pid));
      deputies.put(pid, known);
      queue(pid).addAll(said.held().getOrDefault(pid, List.of()));
      if (watch != null) {
        watch.add(pid); // it became one later than the others
      }
      notifyAll();
    }
    return known;
  }

  private Deque<SentSignal> queue(int pid) {
    return queues.computeIfAbsent(pid, unused -> new ArrayDeque<>());
  }

  // ---- What the deputies say; on an event loop. ----

  /** Whether this living process may be one of them. */
  synchronized boolean expects(int pid) {
    Deputy known = deputies.get(pid);
    return deputizing.processes().containsKey(pid) && (known == null || known.alive());
  }

  synchronized void connected(int pid, Channel channel) throws IOException {
    deputy(pid).connected(channel);
  }

  synchronized void disconnected(int pid, Channel channel) {
    Deputy deputy = deputies.get(pid);
    if (deputy != null) {
      deputy.disconnected(channel);
    }
  }

  synchronized void took(int pid, long number, int tid, String siginfo, boolean held)
      throws IOException {
    long sequence = deputy(pid).sequence(number);
    if (sequence > 0) {
      queue(pid).add(SentSignal.parse(pid, sequence, tid, siginfo, held));
      notifyAll();
    }
  }

  // ---- What their watcher sees. ----

  synchronized void watched(int pid) {
    Deputy deputy = deputies.get(pid);
    if (deputy != null) {
      deputy.watched();
    }
  }

  synchronized void asked(int pid) {
    Deputy deputy = deputies.get(pid);
    if (deputy != null && deputy.asked()) {
      stopThere(pid);
    }
  }

  synchronized void stopped(int pid, boolean own) {
    Deputy deputy = deputies.get(pid);
    if (deputy != null && deputy.stopped(own)) {
      stopThere(pid);
    }
  }

  private void stopThere(int pid) {
    queue(pid).add(SentSignal.stop(pid, ++stops));
    notifyAll();
  }

  synchronized void continued(int pid) {
    Deputy deputy = deputies.get(pid);
    if (deputy != null) {
      deputy.continued();
    }
  }

  /** It has ended: where that is not our doing, the real process has been killed. */
  synchronized void ended(int pid) {
    Deputy deputy = deputies.get(pid);
    if (deputy != null && deputy.alive()) {
      LOG.warn(
          "{}: the deputy {} is traced by somebody else: SIGKILL and SIGSTOP are not forwarded",
          deputizing.id(),
          pid);
      watch.retry(pid);
    } else if (deputy != null) {
      if (!deputy.isEnding()) {
        LOG.info("{}: the deputy of process {} was killed", deputizing.id(), pid);
        killed(pid);
      }
    }
  }

  private void killed(int pid) {
    queue(pid).clear(); // nothing comes before SIGKILL
    queue(pid).add(SentSignal.kill(pid));
    notifyAll();
  }

  // ---- On the way to the destination. ----

  private void forward() {
    try {
      for (List<SentSignal> batch = next(); !batch.isEmpty(); batch = next()) {
        try {
          List<SentSignal> delivered = delivered(batch, delivery.deliver(batch));
          onDelivered.accept(delivered);
          if (delivered.size() < batch.size()) {
            Thread.sleep(LATER_MILLIS);
          }
        } catch (IOException e) {
          LOG.debug("{}: signals wait: {}", deputizing.id(), e.getMessage());
          Thread.sleep(RETRY_MILLIS);
        } catch (RuntimeException e) {
          LOG.error("{}: signals wait", deputizing.id(), e); // and the next try may go well
          Thread.sleep(RETRY_MILLIS);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Waits for something to do; empty once this is closed. */
  private synchronized List<SentSignal> next() throws InterruptedException {
    List<SentSignal> batch = new ArrayList<>();
    while (!closed && batch.isEmpty()) {
      queues.values().forEach(queue -> queue.stream().limit(BATCH).forEach(batch::add));
      if (batch.isEmpty()) {
        wait();
      }
    }
    return closed ? List.of() : batch;
  }

  private synchronized List<SentSignal> delivered(
      List<SentSignal> batch, Map<Integer, Integer> counts) {
    Map<Integer, Integer> left = new LinkedHashMap<>(counts);
    List<SentSignal> done = new ArrayList<>();
    for (SentSignal signal : batch) {
      // Where a SIGKILL has swept the queue meanwhile, this one is not in it any more.
      if (left.merge(signal.pid(), -1, Integer::sum) >= 0 && queue(signal.pid()).remove(signal)) {
        done.add(signal);
        Deputy deputy = deputies.get(signal.pid());
        if (deputy != null && signal.isTaken()) {
          deputy.acknowledge(signal.sequence());
        }
      }
    }
    return done;
  }

  // ---- What the real processes do. ----

  /** The tree's root is stopped by this signal, or goes on (0). */
  public synchronized void rootStopped(int signal) {
    Deputy deputy = deputies.get(root);
    if (deputy != null) {
      deputy.follow(signal);
    }
  }

  /** The tree's root has ended with this wait status. */
  public synchronized void rootEnded(int waitStatus) {
    Deputy deputy = deputies.get(root);
    if (deputy != null) {
      deputy.end(waitStatus);
    }
  }

  /** Descendants have ended; nobody at home asks for their status. */
  public synchronized void ended(Collection<Integer> pids) {
    for (int pid : pids) {
      Deputy deputy = deputies.get(pid);
      if (deputy != null) {
        deputy.end(0);
      }
    }
  }

  /**
   * All processes have ended: so do the deputies.
   *
   * @param patience how long to wait for that
   * @return true once all have; to be called again until then
   */
  public synchronized boolean end(int rootStatus, Duration patience) throws InterruptedException {
    long end = System.nanoTime() + patience.toNanos();
    deputies.forEach((pid, deputy) -> deputy.end(pid == root ? rootStatus : 0));
    while (deputies.values().stream().anyMatch(Deputy::alive)) {
      if (System.nanoTime() > end) {
        return false;
      }
      wait(POLL_MILLIS); // one that connects now is told as well
    }
    return true;
  }

  // ---- The end. ----

  /** Looks after them no more; they live on, for the next agent. */
  @Override
  public void close() {
    synchronized (this) {
      closed = true;
      notifyAll();
    }
    server.unregister(deputizing.id());
    if (watch != null) {
      watch.close();
    }
  }

  /** Closes, and removes what was kept for the next agent: there are no deputies any more. */
  public void forget() throws IOException {
    close();
    synchronized (this) {
      deputies.values().forEach(Deputy::gone);
    }
    Files.deleteIfExists(transcript);
  }
}
