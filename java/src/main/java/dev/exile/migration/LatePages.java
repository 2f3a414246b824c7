package dev.exile.migration;

import dev.exile.memory.Pages;
import dev.exile.memory.Requests;
import dev.exile.memory.RestOfMemory;
import dev.exile.signals.MemoryKeepers;
import dev.exile.sockets.PageStream;
import java.io.IOException;
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

  private final Site site;
  private final Facts facts;
  private final PeerLink peer;
  private final RestOfMemory rest;
  private final Runnable complete;
  private final Requests requests = new Requests();
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
      case Pages.WANTED -> requests.want(head.process(), head.start());
      case Pages.MISSING ->
          requests.miss(head.process(), head.start(), head.start() + head.length());
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
          tellLost();
          TimeUnit.MILLISECONDS.sleep(RETRY_MILLIS);
        } catch (IOException e) {
          LOG.info("{}: pages cannot be sent just now: {}", facts.id, e.getMessage());
          TimeUnit.MILLISECONDS.sleep(RETRY_MILLIS);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return;
    } finally {
      closeWay();
    }
    if (isCompleted()) {
      complete.run();
      close(); // nobody may have had it yet
    }
  }

  /** Again and again until it is heard: whoever waits for such a page is to be ended. */
  private void tellLost() {
    try {
      way.say(Pages.LOST, 0, 0, 0);
    } catch (IOException e) {
      LOG.info("{}: {} is told later: {}", facts.id, facts.to, e.getMessage());
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
      requests.clear();
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
      Requests.Range next = next();
      if (next == null) {
        return;
      }
      sending.range(next.pid(), next.start(), next.end());
    }
  }

  /** Waits for something to send; null where the way is lost, or all is over. */
  private Requests.Range next() throws InterruptedException {
    while (!isOver() && !isLost()) {
      Requests.Range range = requests.next(RETRY_MILLIS);
      if (range != null) {
        return range;
      }
    }
    return null;
  }

  private synchronized boolean isLost() {
    return way == null || way.isLost();
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
