package dev.exile.memory;

import dev.exile.shim.ShimException;
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

  // Of the pass that is under way.
  private long passTotal;
  private long passCovered;
  private long passNanos;
  private long lookedNanos;
  private long dirtyRate;
  private boolean frozen;

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
      try {
        processes.put(pid, new ProcessMemory(pid, null));
      } catch (IOException e) {
        throwUnlessEnded(pid, e);
      }
    }
  }

  /** One that only waits for its parent has no memory any more, either. */
  private static void throwUnlessEnded(int pid, IOException e) throws IOException {
    String sizes;
    try {
      sizes = Files.readString(Path.of("/proc/" + pid + "/statm"));
    } catch (IOException gone) {
      return;
    }
    if (!sizes.startsWith("0 ")) {
      throw e;
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
        if (process == null || process.isAnother()) {
          process = open(pid, process, tracker(pid));
        }
        if (process.isTracked()) {
          looked.put(pid, process.look());
        }
      } catch (IOException e) {
        throwUnlessEnded(pid, e);
      }
    }
  }

  /** Opens a process, or once more one that has executed another program. */
  private ProcessMemory open(int pid, ProcessMemory before, Tracker tracker) throws IOException {
    try {
      processes.remove(pid);
      ProcessMemory process =
          before == null ? new ProcessMemory(pid, tracker) : before.anew(tracker);
      processes.put(pid, process);
      return process;
    } catch (IOException e) {
      if (tracker != null) {
        tracker.close();
      }
      throw e;
    }
  }

  /** Null where this one cannot be tracked just now, as before its exec: all of it goes later. */
  private Tracker tracker(int pid) throws IOException {
    try {
      return trackers.track(pid);
    } catch (ShimException e) {
      LOG.info("process {} goes untracked: {}", pid, e.getMessage());
      return null;
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
    look(pids);
    long pages = looked.values().stream().mapToLong(PageSet::pages).sum();
    lastRoundLeft(pages);
    dirtyRate =
        rounds.isEmpty() ? 0 : (long) (pages * PageSet.PAGE * 1e9 / (began - lookedNanos + 1));
    lookedNanos = began;
    beginPass(pages);
    for (Map.Entry<Integer, PageSet> found : looked.entrySet()) {
      processes.get(found.getKey()).send(found.getValue(), sender);
    }
    sender.await();
    long nanos = System.nanoTime() - began;
    long bytes = sender.bytes() - before;
    if (bytes > 1 << 20) {
      rate = bytes * 1e6 / nanos;
    }
    Round round = new Round(bytes, pages, TimeUnit.NANOSECONDS.toMillis(nanos), 0);
    LOG.debug("round {}: {}", rounds.size() + 1, round);
    rounds.add(round);
    return round;
  }

  private void lastRoundLeft(long dirtyPages) {
    int last = rounds.size() - 1;
    if (last >= 0) {
      rounds.set(last, rounds.get(last).leaving(dirtyPages));
    }
  }

  /** Bytes that go within so many milliseconds, as far as was seen; a guess before that. */
  public long bytesWithin(int millis) {
    double known = rate == 0 ? 50_000 : rate;
    if (limits.bytesPerSecond() > 0) {
      known = Math.min(known, limits.bytesPerSecond() / 1e3);
    }
    return (long) (known * millis);
  }

  private void beginPass(long pages) {
    passTotal = pages * PageSet.PAGE;
    passCovered = sender.covered();
    passNanos = System.nanoTime();
  }

  /** How it travels just now; on the thread that sends. */
  public Progress progress() {
    long done = sender.covered() - passCovered;
    long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - passNanos);
    long speed = millis == 0 ? 0 : done * 1000 / millis;
    return Progress.of(frozen ? 0 : rounds.size() + 1, done, passTotal, dirtyRate, speed);
  }

  // ---- In the freeze. ----

  /** The tree stands: finds out what is due. */
  public void freeze(List<Integer> pids) throws IOException, InterruptedException {
    frozen = true;
    dirtyRate = 0;
    for (int gone : new ArrayList<>(processes.keySet())) {
      if (!pids.contains(gone)) {
        processes.remove(gone).close();
      }
    }
    for (int pid : pids) {
      try {
        ProcessMemory process = processes.get(pid);
        if (process == null || process.isAnother()) {
          process = open(pid, process, null); // since the last look
        }
        process.freeze(sender);
      } catch (PageSender.UnreadableException e) {
        throw e;
      } catch (IOException e) {
        throwUnlessEnded(pid, e);
        ProcessMemory ended = processes.remove(pid);
        if (ended != null) {
          ended.close();
        }
      }
    }
    lastRoundLeft(dueBytes() / PageSet.PAGE);
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
    beginPass(Math.min(limit, dueBytes()) / PageSet.PAGE);
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

  /**
   * What the destination is to make of it.
   *
   * @param flushed whether all that was sent has gone to a store
   */
  public List<Plan> plans(boolean flushed) {
    List<Plan> plans = new ArrayList<>();
    for (ProcessMemory process : processes.values()) {
      List<Long> areas = new ArrayList<>();
      process.areas().forEach(area -> areas.addAll(List.of(area.start(), area.end())));
      List<Long> missing = new ArrayList<>();
      // No range reaches from one area into the next: they may be moved apart there.
      for (Area area : process.areas()) {
        PageSet left = flushed ? process.sentData() : process.due();
        left.within(area.start(), area.end(), (s, e) -> missing.addAll(List.of(s, e)));
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
