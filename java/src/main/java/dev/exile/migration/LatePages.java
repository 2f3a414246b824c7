package dev.exile.migration;

import dev.exile.memory.Pages;
import dev.exile.memory.RestOfMemory;
import dev.exile.signals.MemoryKeepers;
import dev.exile.sockets.PageStream;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What of a process's memory is still at home while it runs at the destination already: pages that
 * it waits for go first, the others meanwhile. Until the last one has gone the bodies' memory lives
 * on in keepers, see native/src/deputize.c, so an agent that was started again goes on with it; a
 * lost stream is made again. Thread-safe.
 */
final class LatePages implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(LatePages.class);
  private static final long RETRY_MILLIS = 500;

  /** What is pushed at a time: as long a page that is waited for may have to wait. */
  private static final long SLICE = 128 << 10;

  /** What goes along with a page that is waited for. */
  private static final long AROUND = 64 << 10;

  private final Site site;
  private final Facts facts;
  private final PeerLink peer;
  private final RestOfMemory rest;
  private final Runnable complete;
  private final Deque<PageStream.Head> wanted = new ArrayDeque<>();
  private final Map<Integer, TreeMap<Long, Long>> missing = new TreeMap<>();
  private PageWay way;
  private boolean over;
  private boolean completed;
  private long resumedNanos = System.nanoTime();

  /**
   * Serves whatever the destination asks for.
   *
   * @param holders who holds the memory of each process
   * @param complete is run once nothing is missing any more
   */
  LatePages(Site site, Facts facts, PeerLink peer, Map<Integer, Integer> holders, Runnable complete)
      throws IOException {
    this.site = site;
    this.facts = facts;
    this.peer = peer;
    this.rest = RestOfMemory.open(holders);
    this.complete = complete;
  }

  /** Begins, over that way or, where it is null, over one of its own. */
  void start(PageWay first) {
    way = first;
    Thread thread = new Thread(this::run, "late-pages-" + facts.id);
    thread.setDaemon(true);
    thread.start();
  }

  /** The process runs at the destination from now on: home is needed. */
  synchronized void resumed() {
    resumedNanos = System.nanoTime();
  }

  /** What the destination says. */
  synchronized void asked(PageStream.Head head) {
    switch (head.kind()) {
      case Pages.WANTED -> wanted.add(head);
      case Pages.MISSING ->
          missing
              .computeIfAbsent(head.process(), pid -> new TreeMap<>())
              .put(head.start(), head.start() + head.length());
      case Pages.COMPLETE -> {
        over = true;
        completed = true;
        facts.faults = head.start();
        facts.dependsOnHomeMillis = (System.nanoTime() - resumedNanos) / 1_000_000;
      }
      default -> LOG.warn("{}: the destination says something unknown: {}", facts.id, head);
    }
    notifyAll();
  }

  private void run() {
    try {
      while (!isOver()) {
        try {
          connect();
          serve();
        } catch (RestOfMemory.GoneException e) {
          LOG.error("{}: {}", facts.id, e.getMessage());
          way.say(Pages.LOST, 0, 0, 0);
          TimeUnit.MILLISECONDS.sleep(RETRY_MILLIS);
        } catch (IOException e) {
          LOG.info("{}: pages cannot be sent just now: {}", facts.id, e.getMessage());
          TimeUnit.MILLISECONDS.sleep(RETRY_MILLIS);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return;
    } catch (IOException e) {
      LOG.warn("{}: {}", facts.id, e.getMessage());
      return;
    } finally {
      closeWay();
    }
    if (isCompleted()) {
      complete.run();
    }
  }

  private synchronized boolean isOver() {
    return over;
  }

  private synchronized boolean isCompleted() {
    return completed;
  }

  private void connect() throws IOException {
    synchronized (this) {
      if (way != null && !way.isLost()) {
        return;
      }
      wanted.clear();
      missing.clear();
    }
    closeWay();
    PageWay next = PageWay.open(facts.currentLeg(), peer.carrier(), this::asked);
    synchronized (this) {
      way = next;
    }
  }

  private void serve() throws IOException, InterruptedException {
    RestOfMemory.Sending sending = rest.over(way, facts.bytesPerSecond, facts::sent);
    while (true) {
      PageStream.Head next = next();
      if (next == null) {
        return;
      }
      sending.range(next.process(), next.start(), next.start() + next.length());
    }
  }

  /** Waits for something to send; null where the way is lost, or all is over. */
  private synchronized PageStream.Head next() throws InterruptedException {
    while (!over && !way.isLost()) {
      PageStream.Head head = wanted.poll();
      if (head != null) {
        head = cut(head.process(), head.start(), AROUND, head);
      } else {
        for (int pid : missing.keySet()) {
          TreeMap<Long, Long> ranges = missing.get(pid);
          if (!ranges.isEmpty()) {
            head = cut(pid, ranges.firstKey(), SLICE, null);
            break;
          }
        }
      }
      if (head != null) {
        return head;
      }
      wait(RETRY_MILLIS);
    }
    return null;
  }

  /** Takes at most so many bytes from there on out of what is missing; else what is given. */
  private PageStream.Head cut(int pid, long start, long most, PageStream.Head otherwise) {
    TreeMap<Long, Long> ranges = missing.getOrDefault(pid, new TreeMap<>());
    Map.Entry<Long, Long> range = ranges.floorEntry(start);
    if (range == null || range.getValue() <= start) {
      return otherwise;
    }
    long end = Math.min(range.getValue(), start + most);
    ranges.remove(range.getKey());
    if (range.getKey() < start) {
      ranges.put(range.getKey(), start);
    }
    if (end < range.getValue()) {
      ranges.put(end, range.getValue());
    }
    return new PageStream.Head(Pages.DATA, pid, start, end - start);
  }

  private void closeWay() {
    PageWay closing;
    synchronized (this) {
      closing = way;
      way = null;
    }
    if (closing != null) {
      closing.close();
    }
  }

  /** Who holds the memory of each process of a migration: its keeper, or its body. */
  static Map<Integer, Integer> holders(Facts facts) throws IOException {
    Map<Integer, Integer> holders = new TreeMap<>();
    List<Integer> bodies = FrozenTree.bodies(facts);
    for (int pid : facts.members) {
      MemoryKeepers.of(pid)
          .or(() -> bodies.contains(pid) ? java.util.Optional.of(pid) : java.util.Optional.empty())
          .ifPresent(holder -> holders.put(pid, holder));
    }
    return holders;
  }

  /** Sends no more. */
  @Override
  public void close() {
    synchronized (this) {
      over = true;
      notifyAll();
    }
    try {
      rest.close();
    } catch (IOException e) {
      LOG.warn("{}: {}", site.host(), e.getMessage());
    }
  }
}
