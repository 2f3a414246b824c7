package dev.exile.migration;

import dev.exile.criu.Criu;
import dev.exile.process.Cell;
import dev.exile.process.Cgroup;
import dev.exile.rpc.peer.EndedNotice;
import dev.exile.rpc.peer.ListenerPlan;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SocketPlan;
import dev.exile.sockets.CarrierServer;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.Reconnector;
import dev.exile.sockets.RelayStats;
import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
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
  private static final Duration RESTORE_LIMIT = Duration.ofMinutes(2);
  private static final Duration PATIENCE = Duration.ofSeconds(2);

  /** The wait status of a process killed by SIGKILL. */
  private static final int KILLED = 9;

  /** Home silent for so long before anything is restored: what is here is given up. */
  private static final long SILENCE_NANOS = TimeUnit.SECONDS.toNanos(5);

  /** After the process's end, connections that move no byte for so long are reset. */
  private static final long DRAIN_NANOS = TimeUnit.SECONDS.toNanos(10);

  private static final long SLICE_MILLIS = 100;
  private static final long ASK_AFTER_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final Site site;
  private final PeerLink home;
  private final CarrierServer carriers;
  private final Facts facts;
  private final Lifecycle<DestinationState> lifecycle;
  private final DestinationRelay relay;
  private final CompletableFuture<Void> reachedHook = new CompletableFuture<>();
  private final CompletableFuture<String> hookAnswer = new CompletableFuture<>();
  private final CompletableFuture<Void> letGo = new CompletableFuture<>();
  private final long reservedBytes;

  private Cell cell;
  private Closeable life;
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
    Path images = Directories.create(site.images(facts.id));
    try {
      lifecycle.begin("accepted from " + home.host());
      carriers.register(facts.id, home.host(), images, relay, reservedBytes);
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
    if (facts.cellInit != 0) {
      cell = new Cell(facts.cellInit, facts.cellStartTicks);
    }
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
    synchronized (this) {
      if (lifecycle.state() != DestinationState.RECEIVING) {
        throw new IOException("told to restore while " + lifecycle.state());
      }
      lifecycle.enter(DestinationState.RESTORING, "all images are here");
    }
    try {
      synchronized (this) {
        startCell(request);
      }
      await(reachedHook, "CRIU's restore");
      Map<Integer, Integer> members = cell.members();
      freeze(request, members);
      connect(request, members);
      hookAnswer.complete("resume");
      await(letGo, "CRIU's last step");
      awaitFrozen();
      synchronized (this) {
        checkWhole();
        lifecycle.enter(
            DestinationState.RESTORED,
            "%d processes, %d connections"
                .formatted(request.getPidsCount(), request.getSocketsCount()));
        homeHeardNanos = System.nanoTime();
      }
      Directories.delete(site.images(facts.id));
      Files.deleteIfExists(site.log(facts.id, "restore"));
    } catch (IOException | RuntimeException e) {
      abort(e.getMessage() == null ? e.toString() : e.getMessage());
      throw e;
    }
  }

  private void startCell(RestoreRequest request) throws IOException {
    Directories.create(site.log(facts.id, "restore").getParent());
    facts.established = request.getSocketsCount();
    facts.listening = request.getListenersCount();
    Map<Integer, String> listeners = new LinkedHashMap<>();
    for (ListenerPlan listener : request.getListenersList()) {
      listeners.put(listener.getKey(), listener.getAddress() + " " + listener.getPort());
    }
    facts.listenerAddresses = listeners;
    facts.processes = request.getPidsCount();
    List<String> command =
        site.criu()
            .restore(
                site.images(facts.id),
                site.log(facts.id, "restore"),
                site.shim().hook(),
                request.getShellJob());
    int firstPid = request.getPidsList().stream().mapToInt(Integer::intValue).max().orElse(1) + 300;
    Cell.Started started =
        Cell.start(
            site.shim(),
            facts.id,
            site.run().resolve(facts.id + ".life"),
            site.cellSocket(),
            request.getRootPid(),
            firstPid,
            command);
    cell = started.cell();
    life = started.life();
    facts.cellInit = cell.init();
    facts.cellStartTicks = cell.startTicks();
    site.journal().save(facts);
  }

  private void await(CompletableFuture<Void> step, String what)
      throws IOException, InterruptedException {
    long end = System.nanoTime() + RESTORE_LIMIT.toNanos();
    while (true) {
      try {
        step.get(SLICE_MILLIS, TimeUnit.MILLISECONDS);
        return;
      } catch (ExecutionException e) {
        throw new IOException(e.getCause().getMessage(), e);
      } catch (TimeoutException e) {
        if (!cell.alive()) {
          throw new IOException("the cell was killed during " + what, e);
        }
        if (System.nanoTime() > end) {
          throw new IOException(
              "%s took longer than %d s (log: %s on %s)"
                  .formatted(
                      what, RESTORE_LIMIT.toSeconds(), site.log(facts.id, "restore"), site.host()),
              e);
        }
      }
    }
  }

  /**
   * CRIU still holds every thread, none has run. Frozen now, they stay where they are when it lets
   * go: from then on CRIU's own fate does not matter any more.
   */
  private synchronized void freeze(RestoreRequest request, Map<Integer, Integer> members)
      throws IOException {
    if (lifecycle.state() != DestinationState.RESTORING) {
      throw new IOException("aborted: " + facts.reason);
    }
    Cgroup parent = Cgroup.of(cell.init());
    facts.cgroup = parent.directory().resolve("exile-" + facts.id).toString();
    site.journal().save(facts); // before it is there: whoever comes after us finds it
    Cgroup cgroup = parent.create("exile-" + facts.id);
    for (int pid : request.getPidsList()) {
      Integer restored = members.get(pid);
      if (restored == null) {
        throw new IOException("process " + pid + " is missing among the restored ones");
      }
      cgroup.add(restored);
    }
    cgroup.freeze(true);
  }

  private void connect(RestoreRequest request, Map<Integer, Integer> members) throws IOException {
    for (ListenerPlan listener : request.getListenersList()) {
      relay.listener(listener.getKey(), target(listener.getAddress(), listener.getPort()));
    }
    for (SocketPlan socket : request.getSocketsList()) {
      int pid = members.get(socket.getPid());
      InetSocketAddress at =
          socket.getIpv6() && !socket.getMapped()
              ? relay.entrance6().orElseThrow(() -> new IOException("no IPv6 on loopback here"))
              : relay.entrance4();
      relay.attach(
          socket.getKey(), Reconnector.reconnect(pid, socket.getFd(), socket.getShutWrite(), at));
    }
    relay.seal();
  }

  /** Where new connections to a listener are made: a wildcard is reached over loopback. */
  private static InetSocketAddress target(String address, int port) throws IOException {
    InetAddress bound = InetAddress.getByName(address);
    if (bound.isAnyLocalAddress()) {
      bound = InetAddress.getByName(bound.getAddress().length == 4 ? "127.0.0.1" : "::1");
    }
    return new InetSocketAddress(bound, port);
  }

  /** Fails where one of the restored processes, which stand frozen, has been killed. */
  private void checkWhole() throws IOException {
    Cgroup cgroup = new Cgroup(Path.of(facts.cgroup));
    if (!cell.alive() || facts.rootEnded || cgroup.pids().size() < facts.processes) {
      throw new IOException("a restored process was killed before it ran");
    }
  }

  private void awaitFrozen() throws IOException, InterruptedException {
    Cgroup cgroup = new Cgroup(Path.of(facts.cgroup));
    for (int i = 0; i < 5_000; i++) {
      if (cgroup.frozen()) {
        return;
      }
      Thread.sleep(1);
    }
    throw new IOException("the restored tree does not stand still in " + cgroup.directory());
  }

  // ---- What the cell reports. ----

  /** Answers one line of the cell, see CellServer. */
  String cellSays(String[] words) throws InterruptedException {
    switch (words[0]) {
      case "pre-resume" -> {
        reachedHook.complete(null);
        try {
          return hookAnswer.get();
        } catch (ExecutionException e) {
          return "abort";
        }
      }
      case "resumed" -> letGo.complete(null);
      case "failed" -> restoreFailed(words);
      case "exited" -> exited(Integer.parseInt(words[3]));
      case "stopped", "continued" -> {} // for the deputy at home, once there is one
      default -> LOG.warn("{}: the cell says something unknown: {}", facts.id, words[0]);
    }
    return "ok";
  }

  private void restoreFailed(String[] words) {
    Path log = site.log(facts.id, "restore");
    IOException failure =
        new IOException(
            "CRIU's restore failed: %s (%s %s; log: %s on %s)"
                .formatted(Criu.errorLine(log), words[2], words[3], log, site.host()));
    reachedHook.completeExceptionally(failure);
    letGo.completeExceptionally(failure);
  }

  /** The root has ended; its descendants may live on, and the migration with them. */
  private synchronized void exited(int waitStatus) {
    facts.waitStatus = waitStatus;
    facts.rootEnded = true;
    try {
      site.journal().save(facts);
    } catch (IOException e) {
      LOG.error("{}: its status {} is known to this agent only", facts.id, waitStatus, e);
    }
  }

  /**
   * Once nothing lives in the cell any more: lets the relay deliver what the process has written,
   * as long as it moves, then ends the migration.
   */
  private void endWhenEmpty() throws IOException {
    if (cell.alive()) {
      return;
    }
    relay.drain();
    RelayStats now = relay.stats();
    if (drained == null || moved(drained, now)) {
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
    relay.close();
    carriers.unregister(facts.id);
    closeLife();
    FrozenTree.removeCgroup(facts);
  }

  private static boolean moved(RelayStats before, RelayStats now) {
    return before.open() != now.open()
        || before.bytesFromProcess() != now.bytesFromProcess()
        || before.bytesToProcess() != now.bytesToProcess();
  }

  /** Tells home of the end; once it has heard nothing more is to be done. */
  private void tellHomeEnded() throws IOException {
    home.ended(EndedNotice.newBuilder().setId(facts.id).setWaitStatus(facts.waitStatus).build());
    facts.homeTold = true;
    site.journal().save(facts);
  }

  // ---- Home's decision. ----

  /** Home has committed: the process runs from now on. May be called again. */
  DestinationState commit() throws IOException {
    synchronized (this) {
      homeHeardNanos = System.nanoTime();
      if (lifecycle.state() == DestinationState.RESTORED) {
        abortUnlessWhole();
      }
      if (lifecycle.state() == DestinationState.RESTORED) {
        lifecycle.enter(DestinationState.COMMITTED, home.host() + " has committed");
      }
      if (lifecycle.state() == DestinationState.COMMITTED) {
        new Cgroup(Path.of(facts.cgroup)).freeze(false);
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

  /** Where home cannot have decided yet: the same. */
  void abortUnlessRestored(String reason) {
    synchronized (this) {
      if (lifecycle.state() != DestinationState.RESTORED) {
        abort(reason);
      }
    }
  }

  private void undo() {
    hookAnswer.complete("abort");
    if (cell != null) {
      cell.kill();
    }
    IOException aborted = new IOException("aborted: " + facts.reason);
    reachedHook.completeExceptionally(aborted);
    letGo.completeExceptionally(aborted);
    carriers.unregister(facts.id);
    relay.close();
    boolean clean = removed("line to its cell", this::closeLife);
    clean &= removed("cgroup", () -> FrozenTree.endBody(facts));
    clean &= removed("images", () -> Directories.delete(site.images(facts.id)));
    if (clean) {
      lifecycle.force(DestinationState.ABORTED, facts.reason);
    }
  }

  /** A step of removing what is left; one that fails is tried again by {@link #watch}. */
  @FunctionalInterface
  private interface Removal {
    void run() throws IOException;
  }

  private boolean removed(String what, Removal removal) {
    try {
      removal.run();
      return true;
    } catch (IOException e) {
      LOG.warn("{}: its {} cannot be removed yet: {}", facts.id, what, e.toString());
      return false;
    }
  }

  private void closeLife() throws IOException {
    if (life != null) {
      life.close();
      life = null;
    }
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
          undo();
        }
      }
      case COMMITTED -> commit();
      case RUNNING -> endWhenEmpty();
      case ENDED -> tellHomeEnded();
      case ABORTED -> {}
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

  private void abortUnlessWhole() {
    try {
      checkWhole();
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
    switch (lifecycle.state()) {
      case RECEIVING, RESTORING ->
          lifecycle.force(
              DestinationState.ABORTING, "the agent of " + site.host() + " was restarted");
      case RESTORED, COMMITTED, RUNNING -> {
        carriers.register(facts.id, home.host(), site.images(facts.id), relay, 0);
        for (Map.Entry<Integer, String> listener : facts.listenerAddresses.entrySet()) {
          String[] parts = listener.getValue().split(" ", 2);
          relay.listener(listener.getKey(), target(parts[0], Integer.parseInt(parts[1])));
        }
        relay.seal();
        letGo.complete(null);
        hookAnswer.complete("resume");
      }
      case ABORTING, ENDED, ABORTED -> {}
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
    return cell == null || isOver() ? List.of() : new ArrayList<>(cell.members().values());
  }
}
