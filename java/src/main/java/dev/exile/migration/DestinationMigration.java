package dev.exile.migration;

import dev.exile.negotiation.Survey;
import dev.exile.rpc.peer.Departure;
import dev.exile.rpc.peer.EndedNotice;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SignalBatch;
import dev.exile.rpc.peer.SignalReceipt;
import dev.exile.sockets.CarrierServer;
import dev.exile.sockets.DestinationDatagrams;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.RelayStats;
import dev.exile.streams.DestinationStreams;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One migration seen from the destination: images arrive, CRIU restores in a cell up to the hook
 * before resume, the sockets are connected to the relay, the tree is frozen and CRIU let go; then
 * COMMIT is a single write that thaws it. Whatever happens before COMMIT, home's word decides.
 *
 * <p>Methods are called from the agent's service threads; state changes are guarded by this
 * object's lock.
 */
public final class DestinationMigration {
  private static final Logger LOG = LoggerFactory.getLogger(DestinationMigration.class);
  private static final Duration PATIENCE = Duration.ofSeconds(2);

  /** The wait status of a process killed by SIGKILL. */
  private static final int KILLED = 9;

  /** Home silent for so long before anything is restored: what is here is given up. */
  /** How long a move on waits for memory that is still being put in place. */
  private static final Duration PLACING = Duration.ofSeconds(5);

  private static final long SILENCE_NANOS = TimeUnit.SECONDS.toNanos(5);

  /** After the process's end, connections that move no byte for so long are reset. */
  private static final long DRAIN_NANOS = TimeUnit.SECONDS.toNanos(10);

  /** Room beside the images for what is under way in connections, see Passages. */
  private static final long UNDER_WAY_BYTES = 256L << 20;

  private static final long ASK_AFTER_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final Site site;
  private final PeerLink home;
  private final CarrierServer carriers;
  private final Facts facts;
  private final Lifecycle<DestinationState> lifecycle;
  private final DestinationRelay relay;
  private final DestinationStreams streams;
  private final DestinationDatagrams datagrams;
  private final ArrivedMemory memory;
  private final Restoration restoration;
  private final CellTraffic traffic;
  private final long reservedBytes;

  private final Removals removals;

  /** One at a time leaves, or is told to stay. */
  private final Object departing = new Object();

  private volatile Leaving leaving;
  private volatile boolean streamsStandStill;
  private boolean homeForgot;
  private boolean homeKnows;
  private RelayStats drained;
  private long drainedNanos;
  private volatile long homeHeardNanos = System.nanoTime();

  /** A migration that this host has accepted; room is reserved. */
  DestinationMigration(
      Offer offer, PeerLink home, Site site, CarrierServer carriers, DestinationRelay relay)
      throws IOException {
    this.site = site;
    this.home = home;
    this.carriers = carriers;
    this.relay = relay;
    this.reservedBytes = offer.getImageBytes();
    facts = new Facts();
    facts.id = offer.getId();
    facts.role = "destination";
    facts.pid = offer.getPid();
    facts.command = offer.getCommand();
    facts.from = home.host();
    facts.to = site.host();
    facts.algorithm = offer.getAlgorithm();
    facts.startedMillis = System.currentTimeMillis();
    lifecycle =
        new Lifecycle<>(
            facts,
            DestinationState.RECEIVING,
            DestinationState::next,
            site.journal(),
            site.faults());
    streams = new DestinationStreams(site.shim(), site.pump(facts.id));
    datagrams = new DestinationDatagrams(facts.id);
    memory = new ArrivedMemory(site, facts, this::lose);
    restoration = new Restoration(site, facts, relay, streams, datagrams, memory);
    traffic = new CellTraffic(site, facts, home, streams);
    removals = new Removals(facts.id);
    Path images = Directories.create(site.images(facts.id));
    try {
      lifecycle.begin("accepted from " + home.host());
      // More than is expected: where memory does pass through CRIU after all, that is slower, and
      // right.
      long most = reservedBytes + offer.getResidentBytes();
      carriers.register(facts.id, home.host(), images, relay, most);
      if (!offer.getImagesFrom().isEmpty()) {
        carriers.register(
            facts.id + Leaving.IMAGES,
            offer.getImagesFrom(),
            images,
            null,
            reservedBytes + UNDER_WAY_BYTES);
      }
      carriers.admit(facts.id, datagrams);
      carriers.admitPages(facts.id, memory::join);
    } catch (IOException | RuntimeException e) {
      Directories.delete(images);
      throw e;
    }
  }

  /** A migration that the journal tells of, after the agent was started again. */
  DestinationMigration(
      Facts facts, PeerLink home, Site site, CarrierServer carriers, DestinationRelay relay) {
    this.site = site;
    this.home = home;
    this.carriers = carriers;
    this.relay = relay;
    this.facts = facts;
    this.reservedBytes = 0;
    streams = new DestinationStreams(site.shim(), site.pump(facts.id));
    datagrams = new DestinationDatagrams(facts.id);
    memory = new ArrivedMemory(site, facts, this::lose);
    restoration = new Restoration(site, facts, relay, streams, datagrams, memory);
    traffic = new CellTraffic(site, facts, home, streams);
    removals = new Removals(facts.id);
    lifecycle =
        new Lifecycle<>(
            facts,
            DestinationState.valueOf(facts.state),
            DestinationState::next,
            site.journal(),
            site.faults());
  }

  // ---- Restoring. ----

  /**
   * Restores the process up to where only a thaw is missing.
   *
   * @throws IOException where it cannot; nothing is left then
   */
  void restore(RestoreRequest request) throws IOException, InterruptedException {
    // Before anything else: the clocks are late by whatever takes time here.
    CellTime time = CellTime.arriving(request);
    synchronized (this) {
      if (lifecycle.state() != DestinationState.RECEIVING) {
        throw new IOException("told to restore while " + lifecycle.state());
      }
      ExileState.arrive(facts, request.getState());
      lifecycle.enter(DestinationState.RESTORING, "all images are here");
    }
    try {
      if (request.getPassages()) {
        traffic.carryOn(request.getDelivered().toByteArray(), request.getStopSignal());
      }
      restoration.start(request, time);
      Map<Integer, Integer> members = restoration.awaitHook();
      synchronized (this) {
        if (lifecycle.state() != DestinationState.RESTORING) {
          throw new IOException("aborted: " + facts.reason);
        }
        restoration.freeze(request, members);
      }
      long connecting = System.nanoTime();
      restoration.connect(request, members);
      facts.reconnectMicros = (System.nanoTime() - connecting) / 1000;
      restoration.release(request);
      synchronized (this) {
        lifecycle.enter(
            DestinationState.RESTORED,
            "%d processes, %d connections"
                .formatted(request.getPidsCount(), request.getSocketsCount()));
        homeHeardNanos = System.nanoTime();
      }
      Directories.delete(site.images(facts.id));
      Files.deleteIfExists(site.log(facts.id, "restore"));
    } catch (IOException | RuntimeException e) {
      giveUp(e.getMessage() == null ? e.toString() : e.getMessage());
      throw e;
    }
  }

  private synchronized void giveUp(String reason) {
    if (lifecycle.state() == DestinationState.ABORTED) {
      // By somebody else, before this thread had made all that it has made.
      removedAll();
    } else {
      abort(reason);
    }
  }

  // ---- What the cell reports. ----

  /** Answers one line of the cell, see CellServer. */
  String cellSays(String[] words) throws InterruptedException {
    try {
      switch (words[0]) {
        case "exited" -> exited(Integer.parseInt(words[3]));
        case "stopped" -> traffic.rootStopped(Integer.parseInt(words[3]));
        case "continued" -> traffic.rootStopped(0);
        default -> {
          return restoration.cellSays(words);
        }
      }
      return "ok";
    } catch (IOException e) {
      LOG.error("{}: what the cell says is known to this agent only", facts.id, e);
      return "ok";
    }
  }

  /** The root has ended; its descendants may live on, and the migration with them. */
  private void exited(int waitStatus) throws IOException {
    synchronized (this) {
      facts.waitStatus = waitStatus;
      facts.rootEnded = true;
      site.journal().save(facts);
    }
    traffic.rootEnded();
  }

  /** Home forwards signals. */
  SignalReceipt deliver(SignalBatch batch) throws IOException {
    return traffic.deliver(batch);
  }

  /**
   * Once nothing lives in the cell any more: lets the relay deliver what the process has written,
   * as long as it moves, then ends the migration.
   */
  private void endWhenEmpty() throws IOException {
    // However long it takes: at home it would wait in pipes, for as long.
    if (restoration.alive() || streams.open() || traffic.owesEnd()) {
      return;
    }
    relay.drain();
    RelayStats now = relay.stats();
    // While home is away, what is open waits for it.
    if (drained == null || !relay.served() || moved(drained, now)) {
      drained = now;
      drainedNanos = System.nanoTime();
    }
    if (now.open() > 0 && System.nanoTime() - drainedNanos < DRAIN_NANOS) {
      return;
    }
    if (!facts.rootEnded) {
      facts.waitStatus = KILLED; // the cell's init was killed, and with it everything inside
    }
    lifecycle.force(DestinationState.ENDED, "ended" + WaitStatus.describe(facts.waitStatus));
    finish();
  }

  /**
   * The process has ended: removes what is left of it here and tells home. To be called again, also
   * by the next agent, until both is done. Home need not wait for the former.
   */
  private void finish() throws IOException {
    relay.close();
    unregister();
    boolean clean = removals.done("line to its cell", restoration::closeLife);
    clean &= removals.done("cgroup", () -> FrozenTree.removeCgroup(facts));
    clean &= removals.done("record of signals", traffic::end);
    clean &= removals.done("streams", streams::drop);
    clean &= removals.done("device for datagrams", this::closeDatagrams);
    clean &= removals.done("memory", memory::drop);
    if (!homeKnows) {
      home.ended(EndedNotice.newBuilder().setId(facts.id).setWaitStatus(facts.waitStatus).build());
      homeKnows = true;
    }
    if (clean) {
      facts.homeTold = true;
      site.journal().save(facts);
    }
  }

  /** The name goes with the device: the next migration may get a device of the same name. */
  private void closeDatagrams() throws IOException {
    datagrams.close();
    if (!facts.device.isEmpty()) {
      facts.device = "";
      site.journal().save(facts);
    }
  }

  private static boolean moved(RelayStats before, RelayStats now) {
    return before.open() != now.open()
        || before.bytesFromProcess() != now.bytesFromProcess()
        || before.bytesToProcess() != now.bytesToProcess();
  }

  /** It must not run on: what it would find in its memory would be wrong. */
  private void lose(String why) {
    LOG.error("{}: process {} is ended: {}", facts.id, facts.pid, why);
    facts.note = "ended: " + why;
    restoration.endCell();
  }

  // ---- Home's decision. ----

  /** Home has committed: the process runs from now on. May be called again. */
  DestinationState commit() throws IOException {
    DestinationState state = decide();
    if (state == DestinationState.RUNNING) {
      traffic.begin();
    }
    return state;
  }

  private DestinationState decide() throws IOException {
    synchronized (this) {
      homeHeardNanos = System.nanoTime();
      if (lifecycle.state() == DestinationState.RESTORED) {
        abortUnlessWhole();
      }
      if (lifecycle.state() == DestinationState.RESTORED) {
        lifecycle.enter(DestinationState.COMMITTED, home.host() + " has committed");
      }
      if (lifecycle.state() == DestinationState.COMMITTED) {
        ExileState.leave(facts);
        restoration.thaw();
        lifecycle.force(DestinationState.RUNNING, "thawed");
      }
      if (lifecycle.state().undecided()) {
        throw new IOException("told to commit while " + lifecycle.state());
      }
      return lifecycle.state();
    }
  }

  /** Home has rolled back, or this side has failed: all of it is removed. May be called again. */
  DestinationState abort(String reason) {
    synchronized (this) {
      homeHeardNanos = System.nanoTime();
      if (!lifecycle.state().undecided()) {
        return lifecycle.state();
      }
      lifecycle.force(DestinationState.ABORTING, reason);
      undo();
      return lifecycle.state();
    }
  }

  /** Where home cannot have decided yet: the same; a process that is about to leave stays. */
  void abortUnlessRestored(String reason) {
    if (lifecycle.state() == DestinationState.DEPARTING && !facts.held) {
      stay(facts.nextLeg, reason);
      return;
    }
    synchronized (this) {
      if (lifecycle.state() != DestinationState.RESTORED) {
        abort(reason);
      }
    }
  }

  private void unregister() {
    carriers.unregister(facts.id);
    carriers.unregister(facts.id + Leaving.IMAGES);
  }

  private void undo() {
    if (removedAll()) {
      lifecycle.force(DestinationState.ABORTED, facts.reason);
    }
  }

  private boolean removedAll() {
    restoration.kill(facts.reason);
    unregister();
    relay.close();
    boolean clean = removals.done("line to its cell", restoration::closeLife);
    clean &= removals.done("streams", streams::drop);
    clean &= removals.done("record of signals", traffic::end);
    clean &= removals.done("device for datagrams", this::closeDatagrams);
    clean &= removals.done("memory", memory::drop);
    clean &= removals.done("cgroup", () -> FrozenTree.endBody(facts));
    clean &= removals.done("unix sockets", this::removeUnixPaths);
    clean &= removals.done("images", () -> Directories.delete(site.images(facts.id)));
    return clean;
  }

  private void removeUnixPaths() throws IOException {
    UnixPaths.remove(facts.unixPaths);
    facts.unixPaths = Map.of();
  }

  /**
   * Looks after the migration; called about ten times a second, by one thread at a time. While this
   * side is undecided it asks home how it stands. A home that is silent for long before anything is
   * RESTORED cannot commit any more, so this side gives up; from RESTORED on only home's word
   * counts.
   */
  void watch() throws IOException {
    switch (lifecycle.state()) {
      case RECEIVING, RESTORING, RESTORED -> askHome();
      case ABORTING -> {
        synchronized (this) {
          if (lifecycle.state() == DestinationState.ABORTING) { // not done by another meanwhile
            undo();
          }
        }
      }
      case COMMITTED -> commit();
      case RUNNING -> {
        if (streamsStandStill) {
          startStreams();
        }
        endWhenEmpty();
        traffic.tellSoon();
        traffic.watch();
        datagrams.watch();
        memory.watch();
      }
      case DEPARTING -> askWhether();
      case LEAVING -> leave(facts.nextLeg);
      case ENDED -> finish();
      case ABORTED, LEFT -> {}
    }
  }

  private void askHome() throws IOException {
    long silence = System.nanoTime() - homeHeardNanos;
    if (silence < ASK_AFTER_NANOS) {
      return;
    }
    synchronized (this) {
      if (lifecycle.state() == DestinationState.RESTORED) {
        abortUnlessWhole();
      }
    }
    try {
      obey(home.ask(facts.id, PATIENCE));
    } catch (IOException e) {
      if (silence > SILENCE_NANOS) {
        abortUnlessRestored("nothing is heard of " + home.host() + ": " + e.getMessage());
      }
    }
  }

  // ---- It moves on. ----

  /** What it needs at the next host, and why it cannot leave. */
  Survey.Findings look() throws IOException, InterruptedException {
    if (lifecycle.state() != DestinationState.RUNNING) {
      throw new IOException("it does not run at " + site.host() + ", it is " + lifecycle.state());
    }
    memory.awaitPlaced(PLACING);
    return new LeavingSurvey(site, facts, relay, streams).look(restoration.cell());
  }

  /**
   * Freezes it, and sends it to the next host.
   *
   * @throws IOException where that fails; it runs on here then
   */
  RestoreRequest depart(Departure departure, PeerLink next)
      throws IOException, InterruptedException {
    synchronized (departing) {
      Leaving starting =
          new Leaving(
              site, facts, relay, streams, datagrams, traffic, restoration.cell(), departure);
      synchronized (this) {
        if (lifecycle.state() != DestinationState.RUNNING) {
          throw new IOException("told to depart while " + lifecycle.state());
        }
        memory.checkPlaced();
        homeHeardNanos = System.nanoTime();
        facts.nextLeg = departure.getNext();
        lifecycle.enter(DestinationState.DEPARTING, "moves on to " + departure.getTo());
        leaving = starting;
      }
      try {
        unregister();
        RestoreRequest request = starting.go(next);
        homeHeardNanos = System.nanoTime();
        return request;
      } catch (IOException | InterruptedException | RuntimeException e) {
        goOn(e.getMessage() == null ? e.toString() : e.getMessage());
        throw e;
      }
    }
  }

  /** From now on only home's word lets it run here. */
  DestinationState hold(Departure departure) throws IOException {
    synchronized (departing) {
      Leaving holding = leaving;
      if (lifecycle.state() != DestinationState.DEPARTING
          || holding == null
          || !facts.nextLeg.equals(departure.getNext())) {
        throw new IOException("it does not stand still at " + site.host() + " any more");
      }
      holding.checkWhole();
      homeHeardNanos = System.nanoTime();
      // In this order: where the disk knows nothing of it, the guard has thawed.
      facts.held = true;
      site.journal().save(facts);
      holding.hold();
      return lifecycle.state();
    }
  }

  /**
   * It does not move on: it runs here again. May be called again, and late.
   *
   * @param next the leg that has failed; another one that is under way by now is not touched
   */
  DestinationState stay(String next, String reason) {
    if (!facts.nextLeg.equals(next)) {
      return lifecycle.state();
    }
    homeHeardNanos = System.nanoTime();
    Leaving ending = leaving;
    if (ending != null) {
      ending.cancel(reason);
    }
    synchronized (departing) {
      if (lifecycle.state() == DestinationState.DEPARTING && facts.nextLeg.equals(next)) {
        goOn(reason);
      }
      return lifecycle.state();
    }
  }

  private void goOn(String reason) {
    LOG.info("{}: stays at {}: {}", facts.id, site.host(), reason);
    try {
      if (leaving == null) {
        Leaving.thaw(site, facts);
      } else {
        leaving.thaw();
      }
    } catch (IOException e) {
      LOG.error("{}: cannot give process {} back its freedom", facts.id, facts.pid, e);
    }
    leaving = null;
    facts.held = false;
    ExileState.leave(facts);
    startStreams();
    lifecycle.force(DestinationState.RUNNING, reason);
    relay.goOn();
    carriers.register(facts.id, home.host(), site.images(facts.id), relay, 0);
    carriers.admit(facts.id, datagrams);
    datagrams.goOn();
    traffic.begin();
    try {
      Directories.delete(site.images(facts.id));
    } catch (IOException e) {
      LOG.error("{}: cannot remove its images", facts.id, e);
    }
  }

  /** The pump outlives agents, and may have been halted by a former one. */
  private void startStreams() {
    try {
      streams.start();
      streamsStandStill = false;
    } catch (IOException e) {
      LOG.error("{}: its streams stand still, trying again: {}", facts.id, e.toString());
      streamsStandStill = true;
    }
  }

  /**
   * It runs at the next host: all of it here is dropped. May be called again.
   *
   * @param next the leg that has brought it there
   */
  DestinationState leave(String next) {
    homeHeardNanos = System.nanoTime();
    synchronized (departing) {
      synchronized (this) {
        if (lifecycle.state() == DestinationState.DEPARTING && facts.nextLeg.equals(next)) {
          if (!facts.held) {
            LOG.error("{}: told to leave, but it was never held here", facts.id);
            return lifecycle.state();
          }
          lifecycle.force(DestinationState.LEAVING, "has moved on");
        }
        if (lifecycle.state() == DestinationState.LEAVING && left()) {
          facts.processState = null;
          lifecycle.force(DestinationState.LEFT, "has moved on");
        }
        return lifecycle.state();
      }
    }
  }

  private boolean left() {
    boolean clean = true;
    if (leaving != null) {
      clean = removals.done("guard", leaving::end);
    }
    clean &= removals.done("log", () -> Files.deleteIfExists(site.log(facts.id, "dump")));
    return clean && removedAll();
  }

  /**
   * Undecided about a departure: home is asked. One that is silent cannot commit what was never
   * held.
   */
  private void askWhether() throws IOException {
    long silence = System.nanoTime() - homeHeardNanos;
    if (silence < ASK_AFTER_NANOS) {
      return;
    }
    String next = facts.nextLeg;
    String answer;
    try {
      answer = home.ask(facts.id, PATIENCE);
    } catch (IOException e) {
      if (silence > SILENCE_NANOS && !facts.held) {
        stay(next, "nothing is heard of " + home.host() + ": " + e.getMessage());
      }
      return;
    }
    homeHeardNanos = System.nanoTime();
    if (answer.equals(HomeState.FORWARDING.name())
        || (!facts.held && !answer.equals(HomeState.RESTORING.name()))) {
      stay(next, home.host() + " knows of no departure");
    } else if (answer.equals(HomeState.ROLLED_BACK.name())
        || answer.equals(HomeState.ENDED.name())) {
      leave(next);
    } else if (answer.equals(PeerLink.UNKNOWN) && !homeForgot) {
      // It may run at the next host: only an operator can know.
      homeForgot = true;
      LOG.error(
          "{}: stands still: {} has forgotten it after it was to leave, see docs/operating.md",
          facts.id,
          home.host());
    }
  }

  private void abortUnlessWhole() {
    try {
      restoration.checkWhole();
    } catch (IOException e) {
      abort(e.getMessage());
    }
  }

  private void obey(String answer) throws IOException {
    homeHeardNanos = System.nanoTime();
    if (answer.equals(PeerLink.UNKNOWN)) {
      abort(home.host() + " knows nothing of it");
      return;
    }
    HomeState word = HomeState.valueOf(answer);
    switch (word) {
      case COMMITTED, IN_DOUBT, FORWARDING -> commit();
      case ROLLING_BACK, ROLLED_BACK, REFUSED, ENDED -> abort(home.host() + " has rolled back");
      default -> {} // home is still at it
    }
  }

  // ---- After the agent was started again. ----

  /**
   * Before any peer can reach this agent: makes a process that is here reachable again. What is to
   * be undone is undone by {@link #watch}.
   */
  void takeUp() throws IOException {
    homeHeardNanos = System.nanoTime() - SILENCE_NANOS;
    try {
      streams.find();
    } catch (IOException e) {
      LOG.error("{}: its streams are not looked after any more", facts.id, e);
    }
    if (!facts.device.isEmpty()) {
      openDevice();
    }
    switch (lifecycle.state()) {
      case RECEIVING, RESTORING ->
          lifecycle.force(
              DestinationState.ABORTING, "the agent of " + site.host() + " was restarted");
      case RESTORED, COMMITTED, RUNNING -> {
        carriers.register(facts.id, home.host(), site.images(facts.id), relay, 0);
        carriers.admit(facts.id, datagrams);
        carriers.admitPages(facts.id, memory::join);
        memory.takeUp();
        if (lifecycle.state() == DestinationState.RUNNING) {
          startStreams();
          traffic.begin();
        }
        restoration.takeUp();
      }
      case DEPARTING -> {
        restoration.takeUp();
        if (!facts.held) {
          stay(
              facts.nextLeg,
              "the agent of " + site.host() + " was restarted"); // the guard has thawed it
        }
      }
      case ENDED, ABORTED, LEFT -> relay.close();
      case ABORTING, LEAVING -> {}
    }
  }

  /** Where a former agent has removed it nothing is to be done, unless the process still runs. */
  private void openDevice() {
    try {
      if (!datagrams.open(facts.device, facts.datagramPorts)
          && lifecycle.state() == DestinationState.RUNNING) {
        LOG.error(
            "{}: its datagrams are not forwarded any more: there is no device {}",
            facts.id,
            facts.device);
      }
    } catch (IOException e) {
      LOG.error("{}: its datagrams are not forwarded any more", facts.id, e);
    }
  }

  // ---- For those who look on. ----

  /** Where it stands. */
  public DestinationState state() {
    return lifecycle.state();
  }

  /** True where nothing more is to be done, not even home to be told. */
  boolean isOver() {
    return isOver(facts);
  }

  /** The same of what the journal tells. */
  static boolean isOver(Facts facts) {
    DestinationState state = DestinationState.valueOf(facts.state);
    return state.isFinal() && (state != DestinationState.ENDED || facts.homeTold);
  }

  /** What is known of it; the object goes on changing. */
  public Facts facts() {
    return facts;
  }

  /** True while it is on its way into RUNNING or into its end. */
  boolean underWay() {
    DestinationState state = lifecycle.state();
    return state != DestinationState.RUNNING && !state.isFinal();
  }

  /** Bytes that its images may still take. */
  long reservedBytes() {
    return lifecycle.state() == DestinationState.RECEIVING ? reservedBytes : 0;
  }

  /** PIDs of its processes on this host. */
  public List<Integer> pids() {
    return isOver() ? List.of() : restoration.pids();
  }
}
