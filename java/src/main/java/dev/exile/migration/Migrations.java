package dev.exile.migration;

import dev.exile.memory.Algorithm;
import dev.exile.memory.Limits;
import dev.exile.negotiation.Admission;
import dev.exile.negotiation.Refusal;
import dev.exile.negotiation.Survey;
import dev.exile.process.ProcessTree;
import dev.exile.rpc.peer.Departure;
import dev.exile.rpc.peer.Found;
import dev.exile.rpc.peer.MoveReply;
import dev.exile.rpc.peer.Observation;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.Reason;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SignalBatch;
import dev.exile.rpc.peer.SignalReceipt;
import dev.exile.sockets.CarrierServer;
import dev.exile.sockets.DestinationRelay;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Every migration that this host has a part in, as home or as destination. */
public final class Migrations implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Migrations.class);
  private static final long WATCH_MILLIS = 100;
  private static final long STOP_POLL_MILLIS = 20;

  private final Site site;
  private final CarrierServer carriers;
  private final Relays relays;
  private final Function<String, Optional<PeerLink>> peers;
  private final Map<String, HomeMigration> home = new ConcurrentHashMap<>();
  private final Map<String, DestinationMigration> destination = new ConcurrentHashMap<>();
  private final Map<String, Facts> past = new ConcurrentHashMap<>();
  private final ExecutorService threads =
      Executors.newCachedThreadPool(
          work -> {
            Thread thread = new Thread(work, "migration");
            thread.setDaemon(true);
            return thread;
          });
  private volatile boolean stopping;
  private final Thread watcher = new Thread(this::watch, "migration-watch");

  /** Makes the destination's half of a migration's relay. */
  @FunctionalInterface
  public interface Relays {
    /**
     * Makes one, with all that a former agent has left of it.
     *
     * @param leg its id
     * @param recalled whether it is home's own process that comes back
     */
    DestinationRelay open(String leg, boolean recalled);
  }

  /**
   * The migrations of a host.
   *
   * @param peers the known hosts by name
   * @param relays makes the destination's half of a migration's relay
   */
  public Migrations(
      Site site,
      CarrierServer carriers,
      Relays relays,
      Function<String, Optional<PeerLink>> peers) {
    this.site = site;
    this.carriers = carriers;
    this.relays = relays;
    this.peers = peers;
    watcher.setDaemon(true);
  }

  /**
   * Takes up what the journal tells of. To be called before any peer can reach this agent: what it
   * asks must not be answered from half a memory.
   *
   * @return whether all of it could be taken up
   */
  public boolean load() throws IOException {
    boolean all = true;
    for (Facts facts : site.journal().load()) {
      try {
        load(facts);
      } catch (IOException | RuntimeException e) {
        LOG.error("{}: cannot be taken up, its journal is left as it is", facts.id, e);
        all = false;
      }
    }
    return all;
  }

  private void load(Facts facts) throws IOException {
    if (facts.role.equals("home")) {
      if (HomeState.valueOf(facts.state).isFinal()) {
        past.put(facts.id, facts);
      } else {
        PeerLink unsettled = facts.unsettledHost.isEmpty() ? null : peer(facts.unsettledHost);
        home.put(facts.id, new HomeMigration(facts, peer(facts.to), unsettled, site));
      }
    } else if (DestinationMigration.isOver(facts)) {
      past.put(facts.id, facts);
    } else {
      DestinationMigration migration =
          new DestinationMigration(
              facts,
              peer(facts.from),
              site,
              carriers,
              relays.open(facts.id, facts.from.equals(site.host())));
      destination.put(facts.id, migration);
      migration.takeUp();
    }
  }

  private PeerLink peer(String host) {
    return peers.apply(host).orElseGet(() -> new AbsentPeer(host));
  }

  /** Settles what the last agent left open, and looks after everything from now on. */
  public void start() {
    home.values().forEach(migration -> threads.execute(migration::recover));
    watcher.start();
  }

  // ---- Home. ----

  /** Starts to move a tree; the listener hears of all that follows. */
  public HomeMigration migrate(
      ProcessTree tree,
      Algorithm algorithm,
      Limits limits,
      PeerLink peer,
      ProgressListener listener)
      throws RefusedException {
    HomeMigration migration =
        new HomeMigration(MigrationId.create(), tree, algorithm, limits, peer, site, listener);
    synchronized (home) {
      if (stopping) {
        throw new RefusedException(
            List.of(new Refusal("the agent of " + site.host() + " is being stopped", "try later")));
      }
      refuseIfTaken(tree);
      home.put(migration.facts().id, migration);
    }
    threads.execute(
        () -> {
          migration.run();
          forget();
        });
    return migration;
  }

  /** The negotiation alone: every reason why the tree cannot move. Nothing is reserved. */
  public List<Refusal> check(ProcessTree tree, Algorithm algorithm, Limits limits, PeerLink peer)
      throws IOException {
    return Negotiation.run(MigrationId.create(), tree, algorithm, limits, peer, site, true)
        .refusals();
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
                      "exile migrate moves it on by its PID, exile recall %s brings it home"
                          .formatted(MigrationId.base(other.facts().id)))));
        }
      }
    }
  }

  /**
   * A process that is away from its home, or lives in a cell of it.
   *
   * @param id its migration
   * @param home the host that decides
   */
  public record Exiled(String id, String home) {}

  /** Whether the root of a tree is one, or the deputy of one. */
  public Optional<Exiled> exiled(ProcessTree tree) {
    int root = tree.root().pid();
    for (HomeMigration other : home.values()) {
      if (other.state() == HomeState.FORWARDING && other.facts().pid == root) {
        return Optional.of(new Exiled(other.facts().id, site.host()));
      }
    }
    for (DestinationMigration other : destination.values()) {
      if (other.state() == DestinationState.RUNNING && other.facts().rootHere == root) {
        return Optional.of(new Exiled(MigrationId.base(other.facts().id), other.facts().from));
      }
    }
    return Optional.empty();
  }

  /** The home of a migration that this host has, or had, a part in. */
  public Optional<String> homeOf(String id) {
    return find(id).map(facts -> facts.from);
  }

  /** Moves a process of this home on, from where it is to another host or home. */
  public MoveReply move(String id, String to) {
    HomeMigration migration = home.get(MigrationId.base(id));
    MoveReply.Builder reply = MoveReply.newBuilder().setId(MigrationId.base(id)).setTo(to);
    try {
      if (migration == null) {
        throw refused("no migration " + id + " goes on at " + site.host(), "see exile ps");
      }
      Facts facts = migration.facts();
      reply.setPid(facts.pid).setCommand(facts.command).setFrom(facts.to);
      PeerLink next =
          peers
              .apply(to)
              .orElseThrow(
                  () ->
                      refused(
                          "no host is called '%s' at the process's home %s"
                              .formatted(to, site.host()),
                          "others go under 'peers' in that agent's configuration"));
      if (stopping) {
        throw refused("the agent of " + site.host() + " is being stopped", "try later");
      }
      HomeHop.Outcome outcome = migration.move(next);
      reply.setOutcome(outcome.outcome()).setReason(outcome.reason());
      if (!outcome.outcome().equals("migrated")) {
        return reply.build(); // the figures are still the former move's
      }
      return reply
          .setFrozenMillis(facts.frozenMillis)
          .setTotalMillis(facts.totalMillis)
          .setEstablished(facts.established)
          .setAlgorithm(facts.algorithm)
          .setBytesTransferred(facts.bytesTransferred)
          .setReconnectMicros(facts.reconnectMicros)
          .addAllPhases(Phases.told(facts.phases()))
          .build();
    } catch (RefusedException e) {
      reply.setOutcome("refused").setReason(e.getMessage());
      e.refusals()
          .forEach(
              refusal ->
                  reply.addRefusals(
                      Reason.newBuilder().setWhat(refusal.what()).setRemedy(refusal.remedy())));
      return reply.build();
    }
  }

  private static RefusedException refused(String what, String remedy) {
    return new RefusedException(List.of(new Refusal(what, remedy)));
  }

  /** Home's word on a migration, or a leg of one, for a host that asks. */
  public String standingAtHome(String id) {
    HomeMigration migration = home.get(MigrationId.base(id));
    if (migration != null) {
      return migration.standing(id);
    }
    Facts facts = past.get(MigrationId.base(id));
    if (facts == null) {
      return PeerLink.UNKNOWN;
    }
    return id.equals(facts.currentLeg()) ? facts.state : HomeState.ROLLED_BACK.name();
  }

  /** The destination tells that the process has ended. */
  public String ended(String id, int waitStatus, String from) throws IOException {
    HomeMigration migration = home.get(MigrationId.base(id));
    if (migration != null && migration.isCurrent(id, from)) {
      migration.ended(waitStatus);
      forget();
    }
    return standingAtHome(id);
  }

  /** The destination tells how the processes there stand. */
  public String observe(Observation seen, String from) throws IOException {
    HomeMigration migration = home.get(MigrationId.base(seen.getId()));
    if (migration != null && migration.isCurrent(seen.getId(), from)) {
      migration.observe(seen);
    }
    return standingAtHome(seen.getId());
  }

  // ---- Destination. ----

  /** Whether this host can take the process. */
  public Admission.Verdict judge(Offer offer) throws IOException {
    long reserved =
        destination.values().stream().mapToLong(DestinationMigration::reservedBytes).sum();
    return Admission.judge(
        offer, site.host(), site.criu(), site.digests(), site.images(), reserved);
  }

  /** Reserves room for a process that this host has said yes to. */
  public void accept(Offer offer, PeerLink from) throws IOException {
    synchronized (destination) {
      if (!MigrationId.isValid(offer.getId()) || isKnown(offer.getId())) {
        throw new IOException("not the id of a new migration: " + offer.getId());
      }
      if (stopping) {
        throw new IOException("the agent of " + site.host() + " is being stopped");
      }
      DestinationRelay relay = relays.open(offer.getId(), from.host().equals(site.host()));
      try {
        destination.put(
            offer.getId(), new DestinationMigration(offer, from, site, carriers, relay));
      } catch (IOException | RuntimeException e) {
        relay.close();
        throw e;
      }
    }
  }

  /**
   * Restores a process whose images are here.
   *
   * @return how long it took to connect its sockets, in microseconds
   * @throws IOException where it cannot be; nothing of it is left then
   */
  public long restore(RestoreRequest request, String from)
      throws IOException, InterruptedException {
    DestinationMigration migration = incoming(request.getId(), from);
    migration.restore(request);
    return migration.facts().reconnectMicros;
  }

  /** Home has committed. */
  public String commit(String id, String from) throws IOException {
    Facts facts = past.get(id);
    if (facts != null && facts.role.equals("destination")) {
      return facts.state;
    }
    return destination.containsKey(id) ? incoming(id, from).commit().name() : PeerLink.UNKNOWN;
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

  /** Home forwards signals. */
  public SignalReceipt deliver(SignalBatch batch, String from) throws IOException {
    return incoming(batch.getId(), from).deliver(batch);
  }

  // ---- A process moves on from here. ----

  /** What it needs at the next host, and why it cannot leave. */
  public Found look(Departure departure, String from) throws IOException, InterruptedException {
    Survey.Findings findings = incoming(departure.getId(), from).look();
    Found.Builder found = Found.newBuilder().setOffer(findings.offer());
    findings
        .refusals()
        .forEach(
            refusal ->
                found.addRefusals(
                    Reason.newBuilder().setWhat(refusal.what()).setRemedy(refusal.remedy())));
    if (peers.apply(departure.getTo()).isEmpty()) {
      found.addRefusals(
          Reason.newBuilder()
              .setWhat("no host is called '%s' at %s".formatted(departure.getTo(), site.host()))
              .setRemedy("it goes under 'peers' in that agent's configuration"));
    }
    return found.build();
  }

  /** Freezes it and sends it to the next host. */
  public RestoreRequest depart(Departure departure, String from)
      throws IOException, InterruptedException {
    DestinationMigration migration = incoming(departure.getId(), from);
    return migration.depart(
        departure,
        peers
            .apply(departure.getTo())
            .orElseThrow(() -> new IOException("no host is called " + departure.getTo())));
  }

  /** From now on only home's word lets it run here. */
  public String hold(Departure departure, String from) throws IOException {
    return incoming(departure.getId(), from).hold(departure).name();
  }

  /** It does not move on. */
  public String stay(Departure departure, String from) throws IOException {
    return incoming(departure.getId(), from)
        .stay(departure.getNext(), from + " has rolled back")
        .name();
  }

  /** It has moved on. */
  public String leave(Departure departure, String from) throws IOException {
    String state = incoming(departure.getId(), from).leave(departure.getNext()).name();
    forget();
    return state;
  }

  private DestinationMigration incoming(String id, String from) throws IOException {
    DestinationMigration migration = destination.get(id);
    if (migration == null || !migration.facts().from.equals(from)) {
      throw new IOException("no migration " + id + " from " + from + " is known here");
    }
    return migration;
  }

  /**
   * A line from a cell, see CellServer. A cell that nobody knows of is one whose migration was
   * aborted before its cell had been written down.
   */
  public String cellSays(String[] words) throws InterruptedException {
    DestinationMigration migration = words.length > 1 ? destination.get(words[1]) : null;
    if (migration != null) {
      return migration.cellSays(words);
    }
    return words[0].equals("pre-resume") ? "abort" : "ok";
  }

  // ---- All. ----

  /** A migration's facts, whatever this host's part in it. */
  public Optional<Facts> find(String id) {
    HomeMigration here = home.get(id);
    if (here != null) {
      here.lookAtClients();
      return Optional.of(here.facts());
    }
    List<Facts> known =
        all().stream().filter(facts -> MigrationId.base(facts.id).equals(id)).toList();
    // Home's own, or else of what this host was told last.
    return known.stream()
        .filter(facts -> facts.role.equals("home"))
        .findFirst()
        .or(() -> known.stream().reduce((first, second) -> second));
  }

  private boolean isKnown(String id) {
    return all().stream().anyMatch(facts -> facts.id.equals(id));
  }

  /** All migrations, oldest first. */
  public List<Facts> all() {
    return Stream.of(
            past.values(),
            home.values().stream().map(HomeMigration::facts).toList(),
            destination.values().stream().map(DestinationMigration::facts).toList())
        .flatMap(Collection::stream)
        .distinct() // one that ends just now is in two of them
        .sorted((a, b) -> Long.compare(a.startedMillis, b.startedMillis))
        .toList();
  }

  /** Whether a process is on its way, or lives away from its home. */
  public boolean anyUnderWay() {
    return !home.isEmpty() || !destination.isEmpty();
  }

  /** The migration of that id in which this host is home. */
  public Optional<HomeMigration> atHome(String id) {
    return Optional.ofNullable(home.get(id));
  }

  private void watch() {
    Watch watch = new Watch(threads);
    try {
      while (true) {
        watch.look(destination.values());
        forget();
        Thread.sleep(WATCH_MILLIS);
      }
    } catch (InterruptedException | RejectedExecutionException e) {
      LOG.debug("being stopped: {}", e.toString());
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
        .filter(DestinationMigration::isOver)
        .forEach(
            m -> {
              past.put(m.facts().id, m.facts());
              destination.remove(m.facts().id);
            });
    try {
      for (String id : site.journal().prune(past)) {
        past.remove(id);
        Files.deleteIfExists(site.log(id, "dump"));
        Files.deleteIfExists(site.log(id, "restore"));
      }
    } catch (IOException e) {
      LOG.warn("cannot prune the journal: {}", e.toString());
    }
  }

  /**
   * Stops: what has not reached COMMIT is rolled back, what has is settled, within the time; the
   * rest is the journal's.
   */
  public void stop(Duration patience) throws InterruptedException {
    stopping = true;
    List<HomeMigration> open;
    synchronized (home) {
      open = home.values().stream().filter(m -> m.state() != HomeState.FORWARDING).toList();
    }
    open.forEach(m -> m.cancel("the agent of " + site.host() + " is being stopped"));
    long end = System.nanoTime() + patience.toNanos();
    for (HomeMigration migration : open) {
      if (!migration.awaitDone(Duration.ofNanos(Math.max(0, end - System.nanoTime())))) {
        LOG.warn("{}: still {}; the journal knows", migration.facts().id, migration.state());
      }
    }
    while (System.nanoTime() < end && home.values().stream().anyMatch(HomeMigration::isMoving)) {
      Thread.sleep(STOP_POLL_MILLIS);
    }
    for (DestinationMigration migration : destination.values()) {
      migration.abortUnlessRestored("the agent of " + site.host() + " is being stopped");
    }
    while (System.nanoTime() < end && destination.values().stream().anyMatch(m -> m.underWay())) {
      Thread.sleep(STOP_POLL_MILLIS);
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
