package dev.exile.migration;

import com.google.protobuf.ByteString;
import dev.exile.criu.Criu;
import dev.exile.ipc.CellShared;
import dev.exile.linux.Clocks;
import dev.exile.process.Cell;
import dev.exile.process.Cgroup;
import dev.exile.process.ProcessTree;
import dev.exile.process.TimedWaits;
import dev.exile.rpc.peer.Departure;
import dev.exile.rpc.peer.ListenerPlan;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SocketPlan;
import dev.exile.shim.FreezeGuard;
import dev.exile.shim.ShimException;
import dev.exile.sockets.Carrier;
import dev.exile.sockets.DestinationDatagrams;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.Passages;
import dev.exile.sockets.TakenSocket;
import dev.exile.sockets.TakenSockets;
import dev.exile.streams.DestinationStreams;
import dev.exile.streams.LeavingStreams;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The departure of a process from a host that is not its home, seen from there: the relay halts,
 * the tree is frozen in its cell and dumped, and the images go to the next host. Until {@link
 * #hold} the guard thaws it whoever dies, see {@link FreezeGuard}.
 */
final class Leaving {
  private static final Logger LOG = LoggerFactory.getLogger(Leaving.class);

  /** What is sent to the next host is registered there under this name behind the leg's. */
  static final String IMAGES = ".images";

  private static final long ACCEPT_NANOS = 2_000_000_000;
  private static final long ACCEPT_POLL_MILLIS = 1;
  private static final Duration IMAGES_SILENCE = Duration.ofSeconds(10);

  private final Site site;
  private final Facts facts;
  private final DestinationRelay relay;
  private final DestinationStreams streams;
  private final LeavingDatagrams datagrams;
  private final CellTraffic traffic;
  private final Cell cell;
  private final Departure departure;
  private volatile String cancelled;
  private volatile FreezeGuard guard;
  private volatile Carrier images;
  private List<Integer> frozen = List.of();

  Leaving(
      Site site,
      Facts facts,
      DestinationRelay relay,
      DestinationStreams streams,
      DestinationDatagrams datagrams,
      CellTraffic traffic,
      Cell cell,
      Departure departure) {
    this.site = site;
    this.facts = facts;
    this.relay = relay;
    this.streams = streams;
    this.datagrams = new LeavingDatagrams(site, facts, datagrams);
    this.traffic = traffic;
    this.cell = cell;
    this.departure = departure;
  }

  /** What the next host is to restore; its images are there by then. */
  RestoreRequest go(PeerLink next) throws IOException, InterruptedException {
    Phases phases = new Phases();
    phases.begin("preparing");
    prepare(next);
    phases.begin("freezing");
    relay.halt();
    awaitAccepted();
    streams.halt();
    byte[] delivered = traffic.halt();
    ExileState.enter(facts, facts.rootHere);
    TimedWaits waiting = new TimedWaits();
    waiting.before(new Cgroup(Path.of(facts.cgroup)).pids());
    failIfCancelled();
    guard.freeze();
    frozen = frozen();
    List<TimedWaits.Wait> waits = waiting.interrupted(frozen);
    RestoreRequest.Builder request = describe(delivered);
    failIfCancelled();
    Passages passages = sockets(request);
    datagrams.halt();
    phases.begin("dumping");
    dump();
    long dumpedNanos = Clocks.monotonic();
    passages.save(site.images(facts.id));
    datagrams.save(frozen);
    CellShared shared = CellShared.of(frozen, cell.init());
    shared.settle(site.images(facts.id));
    request.setSharedFiles(shared.files());
    failIfCancelled();
    site.faults().at("leave.transferring");
    phases.begin("transferring");
    facts.bytesTransferred = 0;
    ImageTransfer.send(images, departure.getNext() + IMAGES, site.images(facts.id), facts::sent);
    request.setImageBytes(facts.bytesTransferred).addAllPhases(Phases.told(phases.end()));
    CellTime.describe(request, facts.rootHere, waits, dumpedNanos);
    return request.build();
  }

  private void prepare(PeerLink next) throws IOException {
    Directories.delete(site.images(facts.id));
    Directories.create(site.images(facts.id));
    Directories.create(site.log(facts.id, "dump").getParent());
    CellShared shared = CellShared.of(LeavingSurvey.tree(facts, cell).pids(), cell.init());
    images = next.carrier();
    images.giveUpAfter(IMAGES_SILENCE);
    List<String> dump =
        site.criu()
            .dump(
                facts.pid,
                site.images(facts.id),
                site.log(facts.id, "dump"),
                Path.of(facts.cgroup),
                shellJob(),
                shared.files(),
                List.of());
    guard =
        FreezeGuard.inCell(site.shim(), Path.of(facts.cgroup), cell.init(), shared.sysv(), dump);
  }

  private boolean shellJob() throws IOException {
    ProcessTree tree = LeavingSurvey.tree(facts, cell);
    return tree.root().session() != tree.root().pid();
  }

  /** What the process has not accepted cannot be taken along: home lets none come any more. */
  private void awaitAccepted() throws IOException, InterruptedException {
    long deadline = System.nanoTime() + ACCEPT_NANOS;
    try (TakenSockets sockets = TakenSockets.take(new Cgroup(Path.of(facts.cgroup)).pids())) {
      while (LeavingSurvey.unaccepted(sockets) > 0) {
        if (System.nanoTime() > deadline) {
          throw new IOException(
              "the process does not accept the connections that wait for it at " + site.host());
        }
        Thread.sleep(ACCEPT_POLL_MILLIS);
      }
    }
  }

  /** As this host counts, the root first. */
  private List<Integer> frozen() throws IOException {
    List<Integer> pids = new ArrayList<>(new Cgroup(Path.of(facts.cgroup)).pids());
    if (!pids.remove(Integer.valueOf(facts.rootHere))) {
      throw new ProcessEndedException(facts.rootHere);
    }
    pids.add(0, facts.rootHere);
    LeavingSurvey.tree(facts, cell);
    return pids;
  }

  private Map<Integer, Integer> inner() {
    Map<Integer, Integer> inner = new HashMap<>();
    cell.members().forEach((there, here) -> inner.put(here, there));
    return inner;
  }

  private RestoreRequest.Builder describe(byte[] delivered) throws IOException {
    Map<Integer, Integer> inner = inner();
    RestoreRequest.Builder request =
        RestoreRequest.newBuilder()
            .setId(departure.getNext())
            .setRootPid(facts.pid)
            .setState(facts.stateBefore.name())
            .setShellJob(shellJob())
            .setOrphaned(facts.orphaned)
            .setPassages(true)
            .setDelivered(ByteString.copyFrom(delivered))
            .setStopSignal(facts.stopSignal);
    frozen.forEach(pid -> request.addPids(inner.get(pid)));
    for (int key : facts.listenerAddresses.keySet()) {
      InetSocketAddress first = BoundListeners.parse(facts.listenerAddresses.get(key));
      ListenerPlan.Builder plan =
          ListenerPlan.newBuilder()
              .setKey(key)
              .setAddress(first.getAddress().getHostAddress())
              .setPort(first.getPort());
      InetSocketAddress now = BoundListeners.of(facts, key);
      if (!now.equals(first)) {
        plan.setNowAddress(now.getAddress().getHostAddress()).setNowPort(now.getPort());
      }
      request.addListeners(plan);
    }
    return request;
  }

  private Passages sockets(RestoreRequest.Builder request) throws IOException {
    Map<Integer, Integer> inner = inner();
    try (TakenSockets taken = TakenSockets.take(frozen);
        LeavingStreams leaving = streams.leave(frozen)) {
      facts.unixPaths = UnixPaths.of(taken.others());
      site.journal().save(facts); // some may be new: they are removed here once it has left
      request.addAllUnixPaths(facts.unixPaths.keySet());
      datagrams.describe(request, taken.datagrams(), inner);
      for (TakenSockets.OtherSocket other : taken.others()) {
        if (other.internet() || other.busyNetlink()) {
          throw new IOException(
              "descriptor %d of process %d is a socket that cannot travel"
                  .formatted(other.fd(), inner.get(other.pid())));
        }
        if (other.passing()) {
          throw new IOException(
              "descriptor %d of process %d holds descriptors that were sent and not yet received"
                  .formatted(other.fd(), inner.get(other.pid())));
        }
      }
      Passages passages = Passages.of(relay, taken, leaving.wires());
      request.addAllStreams(leaving.plans(passages.streams()));
      for (Map.Entry<String, TakenSocket> held : passages.holders().entrySet()) {
        TakenSocket socket = held.getValue();
        SocketPlan.Builder plan =
            SocketPlan.newBuilder()
                .setName(held.getKey())
                .setPid(inner.get(socket.pid()))
                .setFd(socket.fd())
                .setIpv6(socket.ipv6())
                .setMapped(socket.mapped())
                .setShutWrite(socket.shutWrite())
                .setOwn(HomeSockets.endpoint(socket.local()));
        if (socket.peer() != null) {
          plan.setPeer(HomeSockets.endpoint(socket.peer()));
        }
        request.addSockets(plan);
      }
      List<TakenSocket> listeners = new ArrayList<>(taken.listeners());
      for (ListenerPlan.Builder plan : request.getListenersBuilderList()) {
        InetSocketAddress bound = BoundListeners.of(facts, plan.getKey());
        Optional<TakenSocket> found =
            listeners.stream().filter(socket -> socket.local().equals(bound)).findFirst();
        found.ifPresent(socket -> plan.setPid(inner.get(socket.pid())).setFd(socket.fd()));
        found.ifPresent(listeners::remove); // others may share its address
      }
      LOG.info(
          "{}: frozen, {} connections and {} streams with {} bytes under way",
          facts.id,
          passages.holders().size(),
          passages.streams().size(),
          passages.bytes());
      return passages;
    }
  }

  private void dump() throws IOException {
    try {
      guard.dump();
    } catch (ShimException e) {
      Path log = site.log(facts.id, "dump");
      throw new IOException(
          "CRIU's dump failed: %s (%s; log: %s on %s)"
              .formatted(Criu.errorLine(log), e.getMessage(), log, site.host()),
          e);
    }
  }

  /** Fails where a process was killed since it was frozen. */
  void checkWhole() throws IOException {
    if (!frozen().equals(frozen)) {
      throw new IOException("a process of the tree was killed while it travelled");
    }
  }

  /** From now on the guard does not thaw when the agent dies. */
  void hold() throws IOException {
    guard.hold();
  }

  /** From another thread: whatever it is at fails soon. */
  void cancel(String reason) {
    cancelled = reason;
    FreezeGuard running = guard;
    if (running != null) {
      try {
        running.cancelDump();
      } catch (IOException e) {
        LOG.info("{}: no dump to cancel: {}", facts.id, e.getMessage());
      }
    }
    Carrier sending = images;
    if (sending != null) {
      sending.close();
    }
  }

  private void failIfCancelled() throws IOException {
    if (cancelled != null) {
      throw new IOException(cancelled);
    }
  }

  /** It runs on here. */
  void thaw() throws IOException {
    closeImages();
    if (guard == null) {
      return;
    }
    try (FreezeGuard thawing = guard) {
      thawing.thaw();
    } catch (IOException e) {
      LOG.warn("the guard could not thaw, the agent does it itself: {}", e.getMessage());
      thaw(site, facts);
    }
  }

  /** The same without a guard: after the agent was started again. */
  static void thaw(Site site, Facts facts) throws IOException {
    Cgroup cgroup = new Cgroup(Path.of(facts.cgroup));
    try {
      site.shim().settle(cgroup.directory(), List.of());
    } catch (IOException e) {
      // It runs all the same; a handler that has waited may find a wait that goes on.
      LOG.warn("{}: {}", facts.id, e.getMessage());
    }
    cgroup.freeze(false);
  }

  /** It runs elsewhere: the frozen tree is nobody's any more. */
  void end() throws IOException {
    closeImages();
    guard.close();
  }

  private void closeImages() {
    if (images != null) {
      images.close();
    }
  }
}
