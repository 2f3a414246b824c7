package dev.exile.migration;

import dev.exile.criu.Criu;
import dev.exile.criu.Timers;
import dev.exile.ipc.HomeShared;
import dev.exile.process.Cell;
import dev.exile.process.Cgroup;
import dev.exile.rpc.peer.DatagramPlan;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.sockets.DestinationDatagrams;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.Passages;
import dev.exile.streams.DestinationStreams;
import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The copy at the destination: CRIU restores it in a cell, up to the hook before resume; its
 * sockets are connected to the relay; it is frozen and CRIU let go. From then on it stands
 * complete, and runs by a single write.
 */
final class Restoration {
  private static final Logger LOG = LoggerFactory.getLogger(Restoration.class);
  private static final Duration LIMIT = Duration.ofMinutes(2);
  private static final long SLICE_MILLIS = 100;

  /** CRIU and its helpers get PIDs of their own, clear of those to be restored. */
  private static final int PID_GAP = 300;

  private final Site site;
  private final Facts facts;
  private final DestinationRelay relay;
  private final DestinationStreams streams;
  private final DestinationDatagrams datagrams;
  private final ArrivedMemory memory;
  private final CompletableFuture<Void> reachedHook = new CompletableFuture<>();
  private final CompletableFuture<String> hookAnswer = new CompletableFuture<>();
  private final CompletableFuture<Void> letGo = new CompletableFuture<>();
  private volatile Cell cell;
  private CellTime time;
  private Closeable life;

  /** What the facts tell of: a cell that a former agent has started, or none yet. */
  Restoration(
      Site site,
      Facts facts,
      DestinationRelay relay,
      DestinationStreams streams,
      DestinationDatagrams datagrams,
      ArrivedMemory memory) {
    this.site = site;
    this.facts = facts;
    this.relay = relay;
    this.streams = streams;
    this.datagrams = datagrams;
    this.memory = memory;
    relay.processes(this::pids);
    if (facts.cellInit != 0) {
      cell = new Cell(facts.cellInit, facts.cellStartTicks);
    }
  }

  /** Starts the cell; CRIU begins to restore. */
  void start(RestoreRequest request, CellTime clocks) throws IOException {
    time = clocks;
    List<String> options = new ArrayList<>(time.options());
    Directories.create(site.log(facts.id, "restore").getParent());
    facts.established = request.getSocketsCount();
    facts.listening = request.getListenersCount();
    BoundListeners.settle(request, facts, site.images(facts.id));
    facts.orphaned = request.getOrphaned();
    facts.members = List.copyOf(request.getPidsList());
    streams.make(request);
    facts.unixPaths = UnixPaths.named(request.getUnixPathsList());
    if (request.getDatagramsCount() > 0) {
      openDatagrams(request.getDatagramsList());
    }
    Timers.advance(site.images(facts.id), request.getPidsList(), time.sinceDump(request));
    List<String> command =
        site.criu()
            .restore(
                site.images(facts.id),
                site.log(facts.id, "restore"),
                site.shim().hook(),
                request.getShellJob(),
                memory.prepare(request),
                streams.inherited());
    options.addAll(streams.cellOptions());
    options.addAll(memory.cellOptions());
    if (request.getSharedFiles()) {
      options.add("--shm");
      options.add(site.images(facts.id).resolve(HomeShared.FILES_IMAGE).toString());
    }
    int firstPid =
        request.getPidsList().stream().mapToInt(Integer::intValue).max().orElse(1) + PID_GAP;
    Cell.Started started =
        Cell.start(
            site.shim(),
            facts.id,
            site.run().resolve(facts.id + ".life"),
            site.cellSocket(),
            request.getRootPid(),
            firstPid,
            request.getOrphaned(),
            options,
            command);
    cell = started.cell();
    if (!started.ownClocks()) {
      LOG.warn(
          "{}: the cell's monotonic clocks are this host's, not home's: the agent lacks"
              + " CAP_SYS_TIME, or the kernel has no time namespaces",
          facts.id);
    }
    life = started.life();
    facts.cellInit = cell.init();
    facts.cellStartTicks = cell.startTicks();
    site.journal().save(facts);
    streams.join(cell.init(), started.master());
  }

  private void openDatagrams(List<DatagramPlan> sockets) throws IOException {
    facts.datagramPorts =
        sockets.stream().map(socket -> socket.getOwn().getPort()).collect(Collectors.toSet());
    facts.device = datagrams.create(facts.datagramPorts);
    site.journal().save(facts); // before it stays: whoever comes after us finds it
    datagrams.keep();
  }

  /**
   * Waits until everything is restored and only the last kick is missing.
   *
   * @return the processes' PIDs on this host by their PIDs in the cell
   */
  Map<Integer, Integer> awaitHook() throws IOException, InterruptedException {
    await(reachedHook, "CRIU's restore");
    facts.unixPaths = UnixPaths.made(facts.unixPaths);
    Map<Integer, Integer> members = cell.members();
    memory.fill(members);
    return members;
  }

  private void await(CompletableFuture<Void> step, String what)
      throws IOException, InterruptedException {
    long end = System.nanoTime() + LIMIT.toNanos();
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
                  .formatted(what, LIMIT.toSeconds(), site.log(facts.id, "restore"), site.host()),
              e);
        }
      }
    }
  }

  /**
   * CRIU still holds every thread, none has run. Frozen now, they stay where they are when it lets
   * go: from then on CRIU's own fate does not matter any more.
   */
  void freeze(RestoreRequest request, Map<Integer, Integer> members) throws IOException {
    Cgroup parent = Cgroup.of(cell.init());
    facts.rootHere = members.getOrDefault(request.getRootPid(), 0);
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

  /** Gives the process its connections back. */
  void connect(RestoreRequest request, Map<Integer, Integer> members)
      throws IOException, InterruptedException {
    Passages passages =
        request.getPassages() ? Passages.load(site.images(facts.id)) : new Passages();
    try (GivenSockets given = new GivenSockets(relay, passages, streams::wire)) {
      given.connect(request, members);
      streams.adopt(relay);
      streams.start();
      openListeners();
      given.fill();
    }
    divert(request, members);
  }

  private void divert(RestoreRequest request, Map<Integer, Integer> members) throws IOException {
    for (DatagramPlan socket : request.getDatagramsList()) {
      datagrams.divert(
          new DestinationDatagrams.Lost(
              members.get(socket.getPid()),
              socket.getFd(),
              GivenSockets.inet(socket.getOwn()),
              socket.hasPeer() ? GivenSockets.inet(socket.getPeer()) : null));
    }
    datagrams.fill(site.images(facts.id));
  }

  /** Tells the relay where the process listens; nothing else is attached from here on. */
  void openListeners() throws IOException {
    for (int key : facts.listenerAddresses.keySet()) {
      relay.listener(Integer.toString(key), target(BoundListeners.of(facts, key)));
    }
    relay.seal();
  }

  /** Where new connections to a listener are made: a wildcard is reached over loopback. */
  private static InetSocketAddress target(InetSocketAddress bound) throws IOException {
    InetAddress address = bound.getAddress();
    if (address.isAnyLocalAddress()) {
      address = InetAddress.getByName(address.getAddress().length == 4 ? "127.0.0.1" : "::1");
    }
    return new InetSocketAddress(address, bound.getPort());
  }

  /** Lets CRIU finish; on return the copy stands frozen, complete and alone. */
  void release(RestoreRequest request) throws IOException, InterruptedException {
    hookAnswer.complete("resume");
    await(letGo, "CRIU's last step");
    awaitFrozen();
    site.shim().settle(Path.of(facts.cgroup), time.left(request));
    checkWhole();
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

  /** Fails where one of the restored processes, which stand frozen, or its pump has been killed. */
  void checkWhole() throws IOException {
    Cgroup cgroup = new Cgroup(Path.of(facts.cgroup));
    if (!cell.alive() || facts.rootEnded || cgroup.pids().size() < facts.members.size()) {
      throw new IOException("a restored process was killed before it ran");
    }
    streams.check();
  }

  /** The copy runs. */
  void thaw() throws IOException {
    new Cgroup(Path.of(facts.cgroup)).freeze(false);
  }

  /** Answers what CRIU's hook and the cell's init say while it is being restored. */
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
      default -> throw new IllegalArgumentException("the cell says something unknown: " + words[0]);
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

  /** After the agent was started again: a hook that still waits may go on. */
  void takeUp() throws IOException {
    openListeners();
    letGo.complete(null);
    hookAnswer.complete("resume");
  }

  /** Kills the cell and whoever waits for it. May be called again. */
  void kill(String reason) {
    hookAnswer.complete("abort");
    if (cell != null) {
      cell.kill();
    }
    IOException aborted = new IOException("aborted: " + reason);
    reachedHook.completeExceptionally(aborted);
    letGo.completeExceptionally(aborted);
  }

  /** Ends all that lives in the cell. */
  void endCell() {
    Cell ending = cell;
    if (ending != null) {
      ending.end();
    }
  }

  /** Closes the line by which the cell knows that the agent lives. */
  void closeLife() throws IOException {
    if (life != null) {
      life.close();
      life = null;
    }
  }

  /** True while the cell is there. */
  boolean alive() {
    return cell != null && cell.alive();
  }

  /** Where it lives; null before it is restored. */
  Cell cell() {
    return cell;
  }

  /** PIDs of its processes on this host. */
  List<Integer> pids() {
    return cell == null ? List.of() : new ArrayList<>(cell.members().values());
  }
}
