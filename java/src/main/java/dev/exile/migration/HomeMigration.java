package dev.exile.migration;

import dev.exile.criu.Criu;
import dev.exile.criu.QueuedSignals;
import dev.exile.criu.UdpImages;
import dev.exile.ipc.HomeShared;
import dev.exile.linux.Clocks;
import dev.exile.memory.Algorithm;
import dev.exile.memory.Limits;
import dev.exile.memory.Plan;
import dev.exile.negotiation.Refusal;
import dev.exile.process.ProcessTree;
import dev.exile.process.TimedWaits;
import dev.exile.rpc.peer.Departure;
import dev.exile.rpc.peer.MemoryPlan;
import dev.exile.rpc.peer.Observation;
import dev.exile.rpc.peer.RestoreReply;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.shim.ShimException;
import dev.exile.signals.MemoryKeepers;
import dev.exile.sockets.Felt;
import dev.exile.streams.HomeStreams;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One migration seen from home, top to bottom in {@link #run}: negotiation, primary migration,
 * exile, commit, forwarding (design, section 2; the paper's section 3).
 *
 * <p>It runs on a thread of its own. {@link #cancel} and the getters may be called from any thread.
 */
public final class HomeMigration {
  private static final Logger LOG = LoggerFactory.getLogger(HomeMigration.class);

  /** After the resume: by then the clients have had their answers. */
  private static final long FELT_SECONDS = 5;

  private final Site site;
  private volatile PeerLink peer;
  private final Algorithm algorithm;
  private final Limits limits;
  private final ProgressListener listener;
  private final Facts facts;
  private final Lifecycle<HomeState> lifecycle;
  private final long startedNanos = System.nanoTime();
  private final CountDownLatch done = new CountDownLatch(1);
  private final Object endLock = new Object();

  private ProcessTree tree;
  private volatile FrozenTree frozen;
  private volatile HomeSockets sockets;
  private final HomeStreams streams;
  private List<String> streamed = List.of();
  private boolean onDemand;
  private List<TimedWaits.Wait> waits = List.of();
  private HomeShared shared;
  private HomePages pages;

  /** What of its memory is sent after COMMIT; null where nothing is. */
  private volatile LatePages late;

  private volatile Forwarding forwarding;

  /** The leg that is under way, else null. */
  private volatile HomeHop hop;

  private PeerLink unsettled;
  private long frozenAtNanos;
  private long dumpedNanos;
  private volatile String cancelReason;

  private boolean commitAttempted;

  /** Whether a cancel can still come in time; under our lock. */
  private boolean cancellable = true;

  /** Runs the migration while it can be cancelled, else null; under our lock. */
  private Thread thread;

  /** A migration that has not begun; {@link #run} runs it. */
  public HomeMigration(
      String id,
      ProcessTree tree,
      Algorithm algorithm,
      Limits limits,
      PeerLink peer,
      Site site,
      ProgressListener listener) {
    this.site = site;
    this.peer = peer;
    this.tree = tree;
    this.algorithm = algorithm;
    this.limits = limits;
    this.listener = listener;
    this.facts = new Facts();
    facts.id = id;
    facts.role = "home";
    facts.pid = tree.root().pid();
    facts.startTicks = tree.root().startTicks();
    facts.command = tree.root().command();
    facts.from = site.host();
    facts.to = peer.host();
    facts.algorithm = algorithm.name();
    facts.residentBytes = tree.residentBytes();
    facts.bytesPerSecond = limits.bytesPerSecond();
    facts.startedMillis = System.currentTimeMillis();
    this.streams = new HomeStreams(site.shim(), site.pump(facts.id));
    this.lifecycle =
        new Lifecycle<>(
            facts, HomeState.NEGOTIATING, HomeState::next, site.journal(), site.faults());
  }

  /**
   * A migration that the journal tells of, after the agent was started again.
   *
   * @param unsettled where the process stands if its latest leg was never begun to run, see {@link
   *     Facts#unsettledHost}; else null
   */
  HomeMigration(Facts facts, PeerLink peer, PeerLink unsettled, Site site) {
    this.site = site;
    this.peer = peer;
    this.unsettled = unsettled;
    this.facts = facts;
    this.algorithm = Algorithm.named(facts.algorithm);
    this.limits = Limits.DEFAULT;
    this.listener = ProgressListener.NONE;
    this.streams = new HomeStreams(site.shim(), site.pump(facts.id));
    this.lifecycle =
        new Lifecycle<>(
            facts, HomeState.valueOf(facts.state), HomeState::next, site.journal(), site.faults());
  }

  /** Runs the migration to its end, until the process runs at the destination, or at home again. */
  public void run() {
    synchronized (this) {
      thread = Thread.currentThread();
    }
    try {
      lifecycle.begin("asked to move to " + peer.host());
      negotiate();
      prepare();
      freeze();
      dump();
      transfer();
      restore();
      commit();
    } catch (RefusedException e) {
      refuse(e);
    } catch (Throwable e) {
      // All of the above is before COMMIT, which is the last thing that commit() does. Errors too:
      // whatever it is, nobody else would thaw the tree.
      rollBack(reasonFor(e));
    }
    try {
      if (lifecycle.state() == HomeState.COMMITTED) {
        settle();
      }
      facts.totalMillis = millisSince(startedNanos);
      saveFigures();
    } finally {
      listener.done(this);
      done.countDown();
    }
  }

  // ---- Step 1: negotiation. Nothing is touched. ----

  private void negotiate() throws IOException, RefusedException {
    listener.phase(facts.id, "negotiating");
    Negotiation.Outcome outcome =
        Negotiation.run(facts.id, tree, algorithm, limits, peer, site, false);
    if (!outcome.refusals().isEmpty()) {
      throw new RefusedException(outcome.refusals());
    }
    streamed = outcome.streamed();
    onDemand = outcome.pagesOnDemand();
    facts.store = outcome.store();
  }

  private void refuse(RefusedException refused) {
    endCancelling();
    facts.refusals.addAll(refused.refusals());
    lifecycle.force(HomeState.REFUSED, refused.getMessage());
    // home may have refused what the destination accepted
    tellRolledBack();
  }

  // ---- Step 2: primary migration. The process runs on. ----

  private void prepare() throws IOException, InterruptedException {
    enter(HomeState.PREPARING, "accepted by " + peer.host());
    Directories.create(site.images(facts.id));
    Directories.create(site.log(facts.id, "dump").getParent());
    sockets = HomeSockets.open(facts, peer, site);
    streams.prepare(tree.pids(), streamed);
    shared = HomeShared.of(tree.pids());
    frozen = FrozenTree.prepare(site, facts, tree, shared);
    pages = HomePages.open(site, facts, algorithm, limits, onDemand, peer, frozen::pids, listener);
    pages.whileRunning(frozen::pids);
  }

  // ---- Step 3: exile. Every failure from here to COMMIT rolls back. ----

  private void freeze() throws IOException, InterruptedException {
    enter(HomeState.FREEZING, "ready");
    frozenAtNanos = System.nanoTime();
    ExileState.enter(facts);
    TimedWaits waiting = new TimedWaits();
    waiting.before(frozen.pids());
    frozen.freeze();
    facts.members = frozen.pids();
    waits = waiting.interrupted(facts.members);
    facts.memberStarts = FrozenTree.startTicks(facts.members);
    long taking = System.nanoTime();
    sockets.take(facts.members);
    facts.takeMicros = (System.nanoTime() - taking) / 1000;
    streams.take(facts.members, streamed);
    shared.take(facts.members);
    facts.sysvObjects = shared.objects();
    facts.established = sockets.taken().connections().size();
    facts.listening = sockets.taken().listeners().size();
    pages.freeze();
  }

  private void dump() throws IOException, InterruptedException {
    enter(
        HomeState.DUMPING,
        "frozen, %d connections and %d listeners held"
            .formatted(facts.established, facts.listening));
    pages.send();
    try {
      frozen.dump();
    } catch (ShimException e) {
      throw new IOException(
          "CRIU's dump failed: %s (%s; log: %s on %s)"
              .formatted(
                  Criu.errorLine(site.log(facts.id, "dump")),
                  e.getMessage(),
                  site.log(facts.id, "dump"),
                  site.host()),
          e);
    }
    dumpedNanos = Clocks.monotonic();
    QueuedSignals.settle(site.images(facts.id));
    if (facts.datagrams > 0) {
      UdpImages.unbind(site.images(facts.id));
      sockets.makeRoom();
    }
    shared.settle(site.images(facts.id));
    facts.sharedFiles = shared.names();
  }

  private void transfer() throws IOException, InterruptedException {
    enter(HomeState.TRANSFERRING, "dumped");
    try {
      sockets.sendImages();
    } catch (IOException e) {
      throw new IOException(
          "the images did not reach %s: %s".formatted(peer.host(), e.getMessage()), e);
    }
    pages.awaitSent();
  }

  private void restore() throws IOException {
    enter(HomeState.RESTORING, facts.bytesTransferred + " bytes sent");
    RestoreRequest.Builder request =
        RestoreRequest.newBuilder()
            .setId(facts.id)
            .setRootPid(facts.pid)
            .addAllPids(facts.members)
            .setState(facts.stateBefore.name())
            .setShellJob(frozen.shellJob())
            .setOrphaned(frozen.orphaned())
            .setSharedFiles(shared.files());
    sockets.describe(request);
    streams.describe(request);
    request.setStore(facts.store);
    request.setResumesAtOnce(pages.resumesAtOnce() && onDemand);
    for (Plan plan : pages.plans(peer, this::memoryIsComplete)) {
      request.addMemory(
          MemoryPlan.newBuilder()
              .setPid(plan.pid())
              .addAllAreas(plan.areas())
              .addAllMissing(plan.missing()));
    }
    CellTime.describe(request, facts.pid, waits, dumpedNanos);
    RestoreReply reply = peer.restore(request.build());
    if (!reply.getRestored()) {
      throw new IOException(reply.getError());
    }
    facts.reconnectMicros = reply.getReconnectMicros();
    sockets.adopt(streams);
  }

  // ---- Step 4: commit. ----

  private void commit() throws IOException {
    sockets.checkCarriers();
    streams.check();
    if (!frozen.pids().equals(facts.members)) {
      throw new IOException("a process of the tree was killed while it travelled");
    }
    frozen.hold();
    synchronized (this) {
      failIfCancelled();
      endCancelling();
      commitAttempted = true;
      lifecycle.enter(HomeState.COMMITTED, "restored at " + peer.host());
    }
  }

  /**
   * After COMMIT. Outcomes of telling the destination: it runs the process (or has run it); it says
   * that it never will, having dropped all of it; anything else, an unknown migration or silence,
   * is no answer, and it is asked again: home must not thaw on a guess.
   */
  private void settle() {
    listener.phase(facts.id, "committed");
    Optional<DestinationState> there = Settling.tellCommitted(peer, facts.id, this::beInDoubt);
    if (there.isEmpty()) {
      return; // stopped: the next agent asks
    }
    if (there.get() == DestinationState.ABORTED) {
      rollBack(peer.host() + " has dropped the process before it ran");
      return;
    }
    if (frozenAtNanos != 0) {
      facts.frozenMillis = millisSince(frozenAtNanos);
    }
    ExileState.leave(facts);
    lifecycle.force(HomeState.FORWARDING, "runs at " + peer.host());
    forward();
  }

  /** Told once. */
  private void beInDoubt(String why) {
    if (lifecycle.state() != HomeState.IN_DOUBT) {
      LOG.warn("{}: in doubt: {}", facts.id, why);
      lifecycle.force(HomeState.IN_DOUBT, "committed, but " + why);
      listener.inDoubt(this);
    }
  }

  // ---- Step 5: forwarding. ----

  private void forward() {
    if (pages != null) {
      late = pages.handOver();
    }
    HomePages.removeVeil(site, facts);
    Forwarding starting = new Forwarding(site, facts, peer, sockets, streams);
    starting.start(frozen);
    if (pages != null && late == null) {
      pages.letGo();
    }
    if (facts.memoryComplete) {
      facts.members.forEach(MemoryKeepers::end); // who was just made to keep what nobody needs now
    }
    removeShared();
    CompletableFuture.delayedExecutor(FELT_SECONDS, TimeUnit.SECONDS)
        .execute(
            () -> {
              lookAtClients();
              saveFigures();
            });
    forwarding = starting; // what the destination tells from now on finds deputies
  }

  /** Home is not needed for its memory any more. */
  private void memoryIsComplete() {
    LatePages done = late;
    facts.memoryComplete = true;
    LOG.info(
        "{}: the last page of its memory is at {}, {} ms after it was resumed there",
        facts.id,
        facts.to,
        facts.dependsOnHomeMillis);
    saveFigures();
    facts.members.forEach(MemoryKeepers::end);
    if (pages != null) {
      pages.letGo();
    }
    if (done != null) {
      done.close();
    }
  }

  /** What the tree shared by name, and its unix sockets' paths: nobody here uses them any more. */
  private void removeShared() {
    try {
      HomeShared.remove(facts.sysvObjects, facts.sharedFiles, facts.members);
    } catch (IOException e) {
      LOG.error("{}: some of its IPC objects stay at home", facts.id, e);
    }
    try {
      UnixPaths.remove(facts.unixPaths);
      facts.unixPaths = Map.of(); // a later agent may find another's sockets there
      site.journal().save(facts);
    } catch (IOException e) {
      LOG.error("{}: a path of its unix sockets stays at home", facts.id, e);
    }
  }

  // ---- A further leg. ----

  /**
   * Moves the process on from where it is. Returns when that is over, or in doubt; it is settled
   * all the same then.
   *
   * @param next another host, or this one
   */
  HomeHop.Outcome move(PeerLink next) throws RefusedException {
    HomeHop moving;
    CompletableFuture<HomeHop.Outcome> told = new CompletableFuture<>();
    synchronized (this) {
      refuseUnlessMovable(next);
      facts.legs++;
      Consumer<String> doubt =
          why -> {
            beInDoubt(why);
            told.complete(new HomeHop.Outcome("in-doubt", facts.reason));
          };
      String leg = MigrationId.leg(facts.id, facts.legs);
      moving = new HomeHop(site, facts, forwarding, peer, next, leg, doubt);
      hop = moving;
    }
    Thread going = new Thread(() -> move(moving, next, told), "leg-" + moving.leg());
    going.setDaemon(true);
    going.start();
    try {
      return told.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof RefusedException refused) {
        throw refused;
      }
      throw new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return new HomeHop.Outcome("in-doubt", "the agent is being stopped; see exile show");
    }
  }

  private void move(HomeHop moving, PeerLink next, CompletableFuture<HomeHop.Outcome> told) {
    HomeHop.Outcome outcome = null;
    Throwable failure = null;
    try {
      site.journal().save(facts); // a leg's number is never used twice
      outcome = moving.run();
      if (facts.to.equals(next.host())) {
        peer = next;
      }
      legIsSettled();
    } catch (IOException e) {
      outcome = new HomeHop.Outcome("rolled-back", "the journal cannot be written: " + e);
    } catch (Throwable e) {
      failure = e; // for whoever has asked; errors too, or it would wait for ever
    } finally {
      hop = null;
    }
    if (failure != null) {
      told.completeExceptionally(failure);
    } else {
      told.complete(outcome);
    }
  }

  private void refuseUnlessMovable(PeerLink next) throws RefusedException {
    String why = null;
    if (hop != null) {
      why = "it is on its way to another host already";
    } else if (lifecycle.state() != HomeState.FORWARDING || forwarding == null) {
      why = "migration %s is %s".formatted(facts.id, lifecycle.state());
    } else if (facts.missingBytes > 0 && !facts.memoryComplete) {
      why = "some of its memory has not left %s yet".formatted(site.host());
    } else if (next.host().equals(facts.to)) {
      why = "it runs at %s already".formatted(facts.to);
    }
    if (why != null) {
      throw new RefusedException(
          List.of(
              new Refusal(
                  "process %d cannot move: %s".formatted(facts.pid, why),
                  "see exile show " + facts.id)));
    }
  }

  /** Home's word on a leg, for a host that asks. */
  String standing(String leg) {
    HomeHop moving = hop;
    boolean undecided =
        (moving != null && (leg.equals(moving.leg()) || leg.equals(facts.currentLeg())))
            || leg.equals(facts.unsettledLeg);
    if (undecided) {
      return HomeState.RESTORING.name();
    }
    return leg.equals(facts.currentLeg()) ? state().name() : HomeState.ROLLED_BACK.name();
  }

  /** Whether what a host tells of this leg is to be heeded. */
  boolean isCurrent(String leg, String host) {
    return leg.equals(facts.currentLeg()) && host.equals(facts.to);
  }

  /** Whether it is between two hosts. */
  boolean isMoving() {
    return hop != null;
  }

  /** Connections that hold home. */
  public int held() {
    HomeSockets relayed = sockets;
    return relayed == null || state() != HomeState.FORWARDING ? 0 : relayed.held();
  }

  /** The destination tells how the processes there stand. */
  void observe(Observation seen) throws IOException {
    if (isMoving()) {
      throw new IOException("it is between two hosts; tell again");
    }
    running().observe(seen);
  }

  private Forwarding running() throws IOException {
    Forwarding running = forwarding;
    if (running == null) {
      throw new IOException("still settling the commit; tell again");
    }
    return running;
  }

  /**
   * The destination tells that the process has ended: its deputies end too. May be told again,
   * until this has returned.
   */
  void ended(int waitStatus) throws IOException {
    synchronized (endLock) {
      if (lifecycle.state().isFinal()) {
        return;
      }
      if (isMoving() || lifecycle.state() == HomeState.IN_DOUBT) {
        throw new IOException("it is between two hosts; tell again");
      }
      running().end(waitStatus);
      if (late != null) {
        late.close();
      }
      if (pages != null) {
        pages.letGo();
      }
      facts.waitStatus = waitStatus;
      lookAtClients();
      lifecycle.force(HomeState.ENDED, "ended at " + peer.host() + WaitStatus.describe(waitStatus));
    }
  }

  // ---- Rollback. ----

  private void rollBack(String reason) {
    endCancelling();
    LOG.info("{}: rolls back: {}", facts.id, reason);
    lifecycle.force(HomeState.ROLLING_BACK, reason);
    // COMMITTED may be on the disk, although writing it failed.
    if (commitAttempted && !Settling.save(site.journal(), facts)) {
      return; // stopped: the next agent reads from the disk how it stands
    }
    // One that only waits for its parent has ended, too.
    facts.exited = ProcessTree.of(facts.pid).filter(t -> t.root().state() != 'Z').isEmpty();
    undo();
    ExileState.leave(facts);
    lifecycle.force(HomeState.ROLLED_BACK, reason);
    tellRolledBack();
  }

  private void undo() {
    try {
      if (frozen != null) {
        frozen.thaw();
      } else {
        FrozenTree.release(site.shim(), facts);
      }
    } catch (IOException e) {
      LOG.error("{}: cannot give process {} back its freedom", facts.id, facts.pid, e);
    }
    if (late != null) {
      late.close();
    }
    // Not before it runs: to lift a tracker's protection may take long.
    if (pages != null) {
      pages.close();
    } else if (!facts.store.isEmpty()) {
      HomePages.removeFlushed(facts);
    }
    HomePages.removeVeil(site, facts);
    try {
      if (sockets != null) {
        sockets.abandon();
      } else {
        HomeSockets.abandonParked(facts, site);
      }
    } catch (IOException e) {
      LOG.error("{}: cannot let go of its sockets", facts.id, e);
    }
    try {
      streams.drop();
    } catch (IOException e) {
      LOG.error("{}: cannot let go of its streams", facts.id, e);
    }
    try {
      Directories.delete(site.images(facts.id));
    } catch (IOException e) {
      LOG.error("{}: cannot remove its images", facts.id, e);
    }
  }

  private void tellRolledBack() {
    try {
      peer.abort(facts.id);
    } catch (IOException e) {
      // It asks us by itself before it does anything, and then hears the same.
      LOG.info("{}: {} will learn of the rollback later: {}", facts.id, peer.host(), e.toString());
    }
  }

  // ---- After the agent was started again. ----

  /** Brings a migration that the journal tells of to where it belongs. */
  void recover() {
    try {
      streams.find();
    } catch (IOException e) {
      LOG.error("{}: its streams are not looked after any more", facts.id, e);
    }
    if (lifecycle.state().beforeCommit()) {
      rollBack("the agent of " + site.host() + " was restarted");
    } else if (lifecycle.state() == HomeState.ROLLING_BACK) {
      undo();
      ExileState.leave(facts);
      lifecycle.force(HomeState.ROLLED_BACK, facts.reason);
      tellRolledBack();
    } else if (!lifecycle.state().isFinal()) {
      resume();
    }
    done.countDown();
  }

  private void resume() {
    settleLeg();
    do {
      try {
        sockets = HomeSockets.ofParked(facts, peer, site);
      } catch (IOException e) {
        LOG.error("{}: cannot take up its connections, trying again: {}", facts.id, e.toString());
      }
    } while (sockets == null && Settling.pause());
    if (sockets == null) {
      return; // stopped
    }
    sendLatePages();
    if (lifecycle.state() == HomeState.FORWARDING) {
      forward();
    } else {
      settle();
    }
  }

  private void sendLatePages() {
    if (facts.missingBytes == 0 || facts.memoryComplete) {
      return;
    }
    Thread thread = new Thread(this::takeUpLatePages, "late-pages-" + facts.id);
    thread.setDaemon(true);
    thread.start();
  }

  private void takeUpLatePages() {
    do {
      try {
        LatePages taken =
            new LatePages(site, facts, peer, LatePages.holders(facts), this::memoryIsComplete);
        late = taken;
        taken.start(null);
        return;
      } catch (IOException e) {
        LOG.error("{}: cannot send what is missing, trying again: {}", facts.id, e.toString());
      }
    } while (!lifecycle.state().isFinal() && Settling.pause());
  }

  /** A former agent has committed a leg, and the next host may not know. */
  private void settleLeg() {
    if (unsettled == null) {
      if (facts.legs > 0) {
        legIsSettled(); // the former agent died between the two
      }
      return;
    }
    Departure departure =
        Departure.newBuilder()
            .setId(facts.unsettledLeg)
            .setNext(facts.currentLeg())
            .setTo(facts.to)
            .build();
    if (HomeHop.settle(site, facts, peer, this::beInDoubt)) {
      HomeHop.leave(unsettled, departure);
    } else {
      peer = unsettled;
    }
    unsettled = null;
    legIsSettled();
  }

  private void legIsSettled() {
    if (lifecycle.state() == HomeState.IN_DOUBT) {
      lifecycle.force(HomeState.FORWARDING, "runs at " + facts.to);
    }
  }

  // ---- Cancelling. ----

  /**
   * Cancels the migration where it has not reached COMMIT.
   *
   * @return false where it is too late: nothing has been done then
   */
  public synchronized boolean cancel(String reason) {
    if (!cancellable) {
      return false;
    }
    if (cancelReason == null) {
      cancelReason = reason;
    }
    if (frozen != null) {
      frozen.cancelDump();
    }
    if (thread != null) {
      thread.interrupt();
    }
    return true;
  }

  /** From here on no cancel, and no interrupt that one has sent, disturbs this thread. */
  private synchronized void endCancelling() {
    cancellable = false;
    thread = null;
    Thread.interrupted();
  }

  /**
   * Waits until the migration runs no more and everybody has been told; false where it takes
   * longer.
   */
  public boolean awaitDone(Duration patience) throws InterruptedException {
    return done.await(patience.toMillis(), TimeUnit.MILLISECONDS);
  }

  private void enter(HomeState state, String reason) throws IOException {
    failIfCancelled();
    lifecycle.enter(state, reason);
    listener.phase(facts.id, state.name().toLowerCase(Locale.ROOT));
  }

  private void failIfCancelled() throws IOException {
    if (cancelReason != null) {
      throw new IOException(cancelReason);
    }
  }

  private String reasonFor(Throwable e) {
    if (cancelReason != null) {
      return cancelReason;
    }
    if (!(e instanceof IOException)) {
      LOG.error("{}: unexpected failure", facts.id, e);
    }
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }

  private void saveFigures() {
    try {
      site.journal().save(facts);
    } catch (IOException e) {
      LOG.error("{}: cannot save its figures", facts.id, e);
    }
  }

  private static long millisSince(long nanos) {
    return (System.nanoTime() - nanos) / 1_000_000;
  }

  // ---- For those who look on. ----

  /** Brings {@link Facts#felt} up to date; of what a former agent relayed it is what that saved. */
  void lookAtClients() {
    HomeSockets relayed = sockets;
    if (relayed != null && lifecycle.state() == HomeState.FORWARDING) {
      Felt felt = relayed.felt();
      if (felt.connections() > 0) {
        facts.felt = felt;
      }
    }
  }

  /** Where it stands. */
  public HomeState state() {
    return lifecycle.state();
  }

  /** What is known of it; the object goes on changing. */
  public Facts facts() {
    return facts;
  }

  /** True where the process of this PID is on its way, or is the body of one that is elsewhere. */
  public boolean holds(int pid) {
    boolean mine =
        facts.pid == pid
            || facts.origins.containsKey(pid)
            || (tree != null && tree.pids().contains(pid));
    return mine && !lifecycle.state().isFinal();
  }
}
