package dev.exile.memory;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The private memory of all processes of a tree at home, on its way to the destination: what {@link
 * Algorithm}s are made of. One thread at a time.
 *
 * <p>At home nothing of it is written to a file: pages go from the process to the network.
 */
public final class HomeMemory implements Closeable {
  private static final Logger LOG = LoggerFactory.getLogger(HomeMemory.class);

  private final Map<Integer, ProcessMemory> processes = new TreeMap<>();
  private final Trackers trackers;
  private final PageSender sender;
  private final Limits limits;
  private final boolean mayLeavePages;
  private final List<Round> rounds = new ArrayList<>();
  private final Map<Integer, PageSet> looked = new TreeMap<>();

  /** What the link was seen to take, in bytes per millisecond; 0 before. */
  private double rate;

  /**
   * @param trackers null: nothing is tracked
   * @param mayLeavePages whether the destination can run the tree before all pages are there
   * @param progress is told each number of bytes that is sent
   */
  public HomeMemory(
      PageSink sink,
      Trackers trackers,
      Limits limits,
      boolean mayLeavePages,
      LongConsumer progress) {
    this.mayLeavePages = mayLeavePages;
    this.trackers = trackers;
    this.limits = limits;
    this.sender = new PageSender(sink, limits.bytesPerSecond(), PageSender.BUFFERS, progress);
  }

  /** What the operator allows. */
  public Limits limits() {
    return limits;
  }

  /** Whether pages may follow on demand. */
  public boolean mayLeavePages() {
    return mayLeavePages;
  }

  /** The rounds so far. */
  public List<Round> rounds() {
    return List.copyOf(rounds);
  }

  /** Bytes that were sent so far. */
  public long bytes() {
    return sender.bytes();
  }

  // ---- While the tree runs. ----

  /**
   * Opens the processes, without watching them: in the freeze that would take its time.
   *
   * @param pids of the tree, as it is now
   */
  public void meet(List<Integer> pids) throws IOException {
    for (int pid : pids) {
      if (Files.exists(Path.of("/proc/" + pid))) {
        processes.put(pid, new ProcessMemory(pid, null));
      }
    }
  }

  /**
   * Looks at what was written since the last time, and watches from now on; where nothing can be
   * tracked, does nothing.
   *
   * @param pids of the tree, as it is now
   */
  public void look(List<Integer> pids) throws IOException {
    looked.clear();
    if (trackers == null) {
      return;
    }
    for (int pid : pids) {
      try {
        ProcessMemory process = processes.get(pid);
        if (process == null) {
          process = new ProcessMemory(pid, trackers.track(pid));
          processes.put(pid, process);
        }
        looked.put(pid, process.look());
      } catch (IOException e) {
        if (Files.exists(Path.of("/proc/" + pid))) {
          throw e;
        } // else it has ended
      }
    }
  }

  /**
   * One round: sends what was written since the last one; the first time, all.
   *
   * @param pids of the tree, as it is now
   */
  public Round round(List<Integer> pids) throws IOException, InterruptedException {
    long began = System.nanoTime();
    long before = sender.bytes();
    long pages = 0;
    look(pids);
    for (Map.Entry<Integer, PageSet> found : looked.entrySet()) {
      pages += found.getValue().pages();
      processes.get(found.getKey()).send(found.getValue(), sender);
    }
    sender.await();
    long nanos = System.nanoTime() - began;
    long bytes = sender.bytes() - before;
    if (bytes > 1 << 20) {
      rate = bytes * 1e6 / nanos;
    }
    Round round = new Round(bytes, pages, TimeUnit.NANOSECONDS.toMillis(nanos), pages);
    LOG.debug("round {}: {}", rounds.size() + 1, round);
    rounds.add(round);
    return round;
  }

  /** Bytes that go within so many milliseconds, as far as was seen; a guess before that. */
  public long bytesWithin(int millis) {
    double known = rate == 0 ? 50_000 : rate;
    if (limits.bytesPerSecond() > 0) {
      known = Math.min(known, limits.bytesPerSecond() / 1e3);
    }
    return (long) (known * millis);
  }

  // ---- In the freeze. ----

  /** The tree stands: finds out what is due. Nothing of a tracker is left in it. */
  public void freeze(List<Integer> pids) throws IOException, InterruptedException {
    for (int gone : new ArrayList<>(processes.keySet())) {
      if (!pids.contains(gone)) {
        processes.remove(gone).close();
      }
    }
    for (int pid : pids) {
      ProcessMemory process = processes.get(pid);
      if (process == null) {
        process = new ProcessMemory(pid, null); // it was born during the last round
        processes.put(pid, process);
      }
      process.freeze(sender);
    }
  }

  /** Bytes that the destination does not have as they are. */
  public long dueBytes() {
    return processes.values().stream().mapToLong(p -> p.due().pages()).sum() * PageSet.PAGE;
  }

  /** Whether what the processes write is known. */
  public boolean tracks() {
    return trackers != null;
  }

  /**
   * Sends so many of those bytes that were written since the last look; where nothing was tracked,
   * of all that is due.
   */
  public void sendDirty(long limit) throws IOException, InterruptedException {
    long left = limit;
    for (ProcessMemory process : processes.values()) {
      left -= process.sendDirty(sender, left);
    }
  }

  /** Sends so many of those bytes. */
  public void sendDue(long limit) throws IOException, InterruptedException {
    long left = limit;
    for (ProcessMemory process : processes.values()) {
      left -= process.sendDue(sender, left);
    }
  }

  /** Waits until the destination has all that was sent. */
  public void await() throws IOException, InterruptedException {
    sender.await();
  }

  /** Writes for exile-veil.so what CRIU is not to look at, see native/veil. */
  public void veil(Path file) throws IOException {
    List<String> lines = new ArrayList<>();
    for (ProcessMemory process : processes.values()) {
      for (Area area : process.areas()) {
        lines.add("%d %x %x".formatted(process.pid(), area.start(), area.end()));
      }
    }
    Files.write(file, lines);
  }

  /** What the destination is to make of it. */
  public List<Plan> plans() {
    List<Plan> plans = new ArrayList<>();
    for (ProcessMemory process : processes.values()) {
      List<Long> areas = new ArrayList<>();
      process.areas().forEach(area -> areas.addAll(List.of(area.start(), area.end())));
      List<Long> missing = new ArrayList<>();
      // No range reaches from one area into the next: they may be moved apart there.
      for (Area area : process.areas()) {
        process.due().within(area.start(), area.end(), (s, e) -> missing.addAll(List.of(s, e)));
      }
      plans.add(new Plan(process.pid(), areas, missing));
    }
    return plans;
  }

  /** Lets go of the processes; nothing is left in them. */
  @Override
  public void close() throws IOException {
    IOException failure = null;
    for (ProcessMemory process : processes.values()) {
      try {
        process.close();
      } catch (IOException e) {
        failure = e;
      }
    }
    processes.clear();
    if (failure != null) {
      throw failure;
    }
  }
}
