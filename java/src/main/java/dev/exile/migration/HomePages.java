package dev.exile.migration;

import dev.exile.memory.Algorithm;
import dev.exile.memory.FlushedPages;
import dev.exile.memory.HomeMemory;
import dev.exile.memory.Limits;
import dev.exile.memory.Plan;
import dev.exile.memory.Trackers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's memory through one migration, up to COMMIT: its way to the destination, and what the
 * algorithm sends before and in the freeze. What is left then {@link LatePages} sends.
 */
final class HomePages implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(HomePages.class);

  private final Site site;
  private final Facts facts;
  private final Algorithm algorithm;
  private final Trackers trackers;
  private final PageWay way;
  private final FlushedPages flushed;
  private final HomeMemory memory;
  private final AtomicBoolean letGo = new AtomicBoolean();
  private volatile LatePages late;
  private CompletableFuture<Void> sending = CompletableFuture.completedFuture(null);

  private HomePages(
      Site site,
      Facts facts,
      Algorithm algorithm,
      Limits limits,
      boolean onDemand,
      PeerLink peer,
      Trackers trackers,
      ProgressListener listener)
      throws IOException {
    this.site = site;
    this.facts = facts;
    this.algorithm = algorithm;
    this.trackers = trackers;
    way =
        PageWay.open(
            facts.id,
            peer.carrier(),
            head -> {
              LatePages asked = late;
              if (asked != null) {
                asked.asked(head);
              }
            });
    flushed = algorithm.flushes() ? FlushedPages.create(Path.of(facts.store)) : null;
    memory =
        new HomeMemory(
            flushed == null ? way : flushed,
            trackers,
            limits,
            onDemand,
            bytes -> {
              facts.sent(bytes);
              listener.memory(facts.id, memory().progress());
            });
  }

  private HomeMemory memory() {
    return memory;
  }

  /** Where exile-veil.so reads what CRIU is not to look at. */
  static Path veil(Site site, Facts facts) {
    return site.run().resolve(facts.id + ".veil");
  }

  /**
   * Opens the way to the destination.
   *
   * @throws IOException where the algorithm needs a tracker and none works here
   */
  static HomePages open(
      Site site,
      Facts facts,
      Algorithm algorithm,
      Limits limits,
      boolean onDemand,
      PeerLink peer,
      Algorithm.Tree tree,
      ProgressListener listener)
      throws IOException {
    Trackers trackers =
        algorithm.tracks() ? trackers(site, facts, algorithm, limits.tracker(), tree) : null;
    try {
      return new HomePages(site, facts, algorithm, limits, onDemand, peer, trackers, listener);
    } catch (IOException e) {
      if (trackers != null) {
        trackers.close();
      }
      throw e;
    }
  }

  private static Trackers trackers(
      Site site, Facts facts, Algorithm algorithm, String only, Algorithm.Tree tree)
      throws IOException {
    try {
      return Trackers.start(site.shim(), only, tree.pids().get(0));
    } catch (IOException e) {
      if (algorithm.needsTracker()) {
        throw new IOException(
            "%s needs to know what the process writes, and cannot: %s; try --algorithm total-copy"
                .formatted(algorithm.name(), e.getMessage()),
            e);
      }
      LOG.warn("{}: moves without tracking what is written: {}", facts.id, e.getMessage());
      facts.note = "what it writes cannot be tracked at " + site.host() + ": " + e.getMessage();
      return null;
    }
  }

  /** Step 2: what travels while the process runs. */
  void whileRunning(Algorithm.Tree tree) throws IOException, InterruptedException {
    if (trackers == null) {
      memory.meet(tree.pids());
    }
    algorithm.whileRunning(memory, tree);
    facts.rounds = memory.rounds();
  }

  /** The tree stands: says what is CRIU's to dump and what is ours. */
  void freeze() throws IOException, InterruptedException {
    memory.freeze(facts.members);
    facts.rounds = memory.rounds();
    memory.veil(veil(site, facts));
  }

  /** Sends what must go in the freeze, beside CRIU's dump. */
  void send() {
    CompletableFuture<Void> done = new CompletableFuture<>();
    sending = done;
    Thread thread =
        new Thread(
            () -> {
              try {
                algorithm.whileFrozen(memory);
                memory.await();
                done.complete(null);
              } catch (Throwable e) {
                done.completeExceptionally(e); // for whoever waits for it
              }
            },
            "pages-" + facts.id);
    thread.setDaemon(true);
    thread.start();
  }

  /** Waits until the destination has what goes in the freeze. */
  void awaitSent() throws IOException, InterruptedException {
    try {
      sending.get();
    } catch (ExecutionException e) {
      throw new IOException(
          "the memory did not reach the destination: " + e.getCause().getMessage(), e);
    }
  }

  /**
   * What the destination is to make of it; from now on it may ask for what is left.
   *
   * @param complete is run once nothing is left
   */
  List<Plan> plans(PeerLink peer, Runnable complete) throws IOException {
    List<Plan> plans = memory.plans(algorithm.flushes());
    if (algorithm.flushes()) {
      return plans;
    }
    facts.missingBytes = plans.stream().mapToLong(Plan::missingBytes).sum();
    if (facts.missingBytes > 0) {
      Map<Integer, Integer> bodies = new TreeMap<>();
      facts.members.forEach(pid -> bodies.put(pid, pid));
      late = new LatePages(site, facts, peer, bodies, complete);
      late.start(way);
    }
    return plans;
  }

  /** Whether the process is to run before its pages are in their places. */
  boolean resumesAtOnce() {
    return algorithm.resumesAtOnce();
  }

  /**
   * The process runs at the destination: what is still to be sent, or null. Then {@link #letGo}.
   */
  LatePages handOver() {
    LatePages left = late;
    if (left == null) {
      way.close();
    } else {
      left.resumed();
    }
    return left;
  }

  /** It was in vain: nothing is left in the processes. */
  @Override
  public void close() {
    if (late != null) {
      late.close();
    }
    if (flushed != null) {
      removeFlushed(facts);
    }
    way.close();
    letGo();
  }

  /** What a former agent may have left of it. */
  static void removeVeil(Site site, Facts facts) {
    try {
      Files.deleteIfExists(veil(site, facts));
    } catch (IOException e) {
      LOG.warn("{}: {}", facts.id, e.toString());
    }
  }

  /** What a migration has flushed in vain. */
  static void removeFlushed(Facts facts) {
    try {
      FlushedMemory.remove(Path.of(facts.store));
    } catch (IOException e) {
      LOG.warn("{}: {} stays: {}", facts.id, facts.store, e.toString());
    }
  }

  /**
   * Lets go of the bodies. Late: to lift a tracker's protection takes the kernel seconds for some
   * GB, and no time at all once a body has become a deputy.
   */
  void letGo() {
    if (letGo.getAndSet(true)) {
      return;
    }
    try {
      if (flushed != null) {
        flushed.close();
      }
      memory.close();
      if (trackers != null) {
        trackers.close();
      }
      Files.deleteIfExists(veil(site, facts));
    } catch (IOException e) {
      LOG.warn("{}: {}", facts.id, e.getMessage());
    }
  }
}
