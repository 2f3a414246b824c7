package dev.exile.migration;

import dev.exile.memory.Algorithm;
import dev.exile.negotiation.Admission;
import dev.exile.negotiation.Refusal;
import dev.exile.process.ProcessTree;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.sockets.CarrierServer;
import dev.exile.sockets.DestinationRelay;
import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Every migration that this host has a part in, as home or as destination. */
public final class Migrations implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Migrations.class);
  private static final long WATCH_MILLIS = 100;

  private final Site site;
  private final CarrierServer carriers;
  private final Function<String, DestinationRelay> relays;
  private final Function<String, Optional<PeerLink>> peers;
  private final Map<String, HomeMigration> home = new ConcurrentHashMap<>();
  private final Map<String, DestinationMigration> destination = new ConcurrentHashMap<>();
  private final Map<String, Facts> past = new ConcurrentHashMap<>();

  /** Ids of the migrations at home on which a thread is at work. */
  private final Set<String> working = ConcurrentHashMap.newKeySet();

  private final ExecutorService threads =
      Executors.newCachedThreadPool(
          work -> {
            Thread thread = new Thread(work, "migration");
            thread.setDaemon(true);
            return thread;
          });
  private final Thread watcher = new Thread(this::watch, "migration-watch");

  /**
   * The migrations of a host.
   *
   * @param peers the known hosts by name
   * @param relays makes the destination's half of a migration's relay
   */
  public Migrations(
      Site site,
      CarrierServer carriers,
      Function<String, DestinationRelay> relays,
      Function<String, Optional<PeerLink>> peers) {
    this.site = site;
    this.carriers = carriers;
    this.relays = relays;
    this.peers = peers;
    watcher.setDaemon(true);
  }

  /** Takes up what the journal tells of, then looks after it all. */
  public void start() throws IOException {
    for (Facts facts : site.journal().load()) {
      boolean isHome = facts.role.equals("home");
      Optional<PeerLink> peer = peers.apply(isHome ? facts.to : facts.from);
      if (isOver(facts, isHome)) {
        past.put(facts.id, facts);
      } else if (peer.isEmpty()) {
        LOG.error("{}: its peer is no known host any more; left as it is", facts.id);
        past.put(facts.id, facts);
      } else if (isHome) {
        HomeMigration migration = new HomeMigration(facts, peer.get(), site);
        home.put(facts.id, migration);
        execute(migration, migration::recover);
      } else {
        DestinationMigration migration =
            new DestinationMigration(facts, peer.get(), site, carriers, relays.apply(facts.id));
        destination.put(facts.id, migration);
        threads.execute(migration::recover);
      }
    }
    watcher.start();
  }

  private static boolean isOver(Facts facts, boolean isHome) {
    return isHome
        ? HomeState.valueOf(facts.state).isFinal()
        : DestinationState.valueOf(facts.state).isFinal();
  }

  // ---- Home. ----

  /** Starts to move a tree; the listener hears of all that follows. */
  public HomeMigration migrate(
      ProcessTree tree, Algorithm algorithm, PeerLink peer, ProgressListener listener)
      throws RefusedException {
    HomeMigration migration =
        new HomeMigration(MigrationId.create(), tree, algorithm, peer, site, listener);
    synchronized (home) {
      refuseIfTaken(tree);
      home.put(migration.facts().id, migration);
    }
    execute(migration, migration::run);
    return migration;
  }

  private void execute(HomeMigration migration, Runnable work) {
    working.add(migration.facts().id);
    threads.execute(
        () -> {
          try {
            work.run();
          } finally {
            working.remove(migration.facts().id);
            forget();
          }
        });
  }

  /** The negotiation alone: every reason why the tree cannot move. Nothing is reserved. */
  public List<Refusal> check(ProcessTree tree, Algorithm algorithm, PeerLink peer)
      throws IOException {
    return Negotiation.run(MigrationId.create(), tree, algorithm, peer, site, true);
  }

  /** Refuses a tree that is on its way already, or that is here from elsewhere. */
  public void refuseIfTaken(ProcessTree tree) throws RefusedException {
    for (HomeMigration other : home.values()) {
      for (int pid : tree.pids()) {
        if (other.holds(pid)) {
          throw new RefusedException(
              List.of(
                  new Refusal(
                      "process %d is already in exile: migration %s to %s is %s"
                          .formatted(pid, other.facts().id, other.facts().to, other.state()),
                      "see exile show " + other.facts().id)));
        }
      }
    }
    for (DestinationMigration other : destination.values()) {
      for (int pid : tree.pids()) {
        if (other.pids().contains(pid)) {
          throw new RefusedException(
              List.of(
                  new Refusal(
                      "process %d is already in exile here: its home is %s (migration %s)"
                          .formatted(pid, other.facts().from, other.facts().id),
                      "a process in exile cannot be moved on yet")));
        }
      }
    }
  }

  /** Home's word on a migration, for a destination that asks. */
  public String standingAtHome(String id) {
    HomeMigration migration = home.get(id);
    if (migration != null) {
      return migration.state().name();
    }
    Facts facts = past.get(id);
    return facts == null ? PeerLink.UNKNOWN : facts.state;
  }

  /** The destination tells that the process has ended. */
  public String ended(String id, int waitStatus, String from) throws IOException {
    HomeMigration migration = home.get(id);
    if (migration != null && migration.facts().to.equals(from)) {
      migration.ended(waitStatus);
      forget();
    }
    return standingAtHome(id);
  }

  // ---- Destination. ----

  /** Every reason why this host cannot take the process. */
  public List<Refusal> refusals(Offer offer) throws IOException {
    long reserved =
        destination.values().stream().mapToLong(DestinationMigration::reservedBytes).sum();
    return Admission.refusals(
        offer, site.host(), site.criu(), site.digests(), site.images(), reserved);
  }

  /** Reserves room for a process that this host has said yes to. */
  public void accept(Offer offer, PeerLink from) throws IOException {
    if (!MigrationId.isValid(offer.getId()) || standing(offer.getId()) != null) {
      throw new IOException("not the id of a new migration: " + offer.getId());
    }
    destination.put(
        offer.getId(),
        new DestinationMigration(offer, from, site, carriers, relays.apply(offer.getId())));
  }

  /**
   * Restores a process whose images are here.
   *
   * @throws IOException where it cannot be; nothing of it is left then
   */
  public void restore(RestoreRequest request, String from)
      throws IOException, InterruptedException {
    incoming(request.getId(), from).restore(request);
  }

  /** Home has committed. */
  public String commit(String id, String from) throws IOException {
    DestinationMigration migration = destination.get(id);
    if (migration != null) {
      return incoming(id, from).commit().name();
    }
    Facts facts = past.get(id);
    return facts == null ? PeerLink.UNKNOWN : facts.state;
  }

  /** Home has rolled back. */
  public String abort(String id, String from) throws IOException {
    if (destination.containsKey(id)) {
      String state = incoming(id, from).abort(from + " has rolled back").name();
      forget();
      return state;
    }
    return PeerLink.UNKNOWN;
  }

  private DestinationMigration incoming(String id, String from) throws IOException {
    DestinationMigration migration = destination.get(id);
    if (migration == null || !migration.facts().from.equals(from)) {
      throw new IOException("no migration " + id + " from " + from + " is known here");
    }
    return migration;
  }

  /** How a migration stands at this destination, null where it is not known. */
  public String standing(String id) {
    DestinationMigration migration = destination.get(id);
    if (migration != null) {
      return migration.state().name();
    }
    Facts facts = past.get(id);
    return facts == null ? null : facts.state;
  }

  /** A line from a cell, see CellServer. */
  public String cellSays(String[] words) throws InterruptedException {
    DestinationMigration migration = words.length > 1 ? destination.get(words[1]) : null;
    // Not known (yet): no answer, the cell asks again.
    return migration == null ? null : migration.cellSays(words);
  }

  // ---- All. ----

  /** A migration's facts, whatever this host's part in it. */
  public Optional<Facts> find(String id) {
    return all().stream().filter(facts -> facts.id.equals(id)).findFirst();
  }

  /** All migrations, oldest first. */
  public List<Facts> all() {
    return Stream.of(
            past.values(),
            home.values().stream().map(HomeMigration::facts).toList(),
            destination.values().stream().map(DestinationMigration::facts).toList())
        .flatMap(Collection::stream)
        .sorted((a, b) -> Long.compare(a.startedMillis, b.startedMillis))
        .toList();
  }

  /** The migration of that id in which this host is home. */
  public Optional<HomeMigration> atHome(String id) {
    return Optional.ofNullable(home.get(id));
  }

  private void watch() {
    while (!Thread.currentThread().isInterrupted()) {
      for (DestinationMigration migration : destination.values()) {
        try {
          migration.watch();
        } catch (IOException | RuntimeException e) {
          LOG.error("{}: cannot be looked after", migration.facts().id, e);
        }
      }
      forget();
      try {
        Thread.sleep(WATCH_MILLIS);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  /** What is over is kept as facts only. */
  private synchronized void forget() {
    home.values().stream()
        .filter(m -> m.state().isFinal())
        .forEach(
            m -> {
              past.put(m.facts().id, m.facts());
              home.remove(m.facts().id);
            });
    destination.values().stream()
        .filter(m -> m.state().isFinal())
        .forEach(
            m -> {
              past.put(m.facts().id, m.facts());
              destination.remove(m.facts().id);
            });
    try {
      site.journal().prune(past).forEach(past::remove);
    } catch (IOException e) {
      LOG.warn("cannot prune the journal: {}", e.toString());
    }
  }

  /**
   * Stops: what has not reached COMMIT is rolled back, what has is settled, within the time; the
   * rest is the journal's.
   */
  public void stop(Duration patience) throws InterruptedException {
    String reason = "the agent of " + site.host() + " is being stopped";
    home.values().forEach(migration -> migration.cancel(reason));
    long end = System.nanoTime() + patience.toNanos();
    while (System.nanoTime() < end && !working.isEmpty()) {
      Thread.sleep(20);
    }
    for (DestinationMigration migration : destination.values()) {
      if (migration.state() == DestinationState.RECEIVING
          || migration.state() == DestinationState.RESTORING) {
        migration.abort(reason);
      }
    }
  }

  @Override
  public void close() {
    watcher.interrupt();
    threads.shutdownNow();
    try {
      if (!threads.awaitTermination(5, TimeUnit.SECONDS)) {
        LOG.warn("some migrations did not come to rest; the journal knows of them");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
