package dev.exile.migration;

import dev.exile.negotiation.Host;
import dev.exile.negotiation.Refusal;
import dev.exile.rpc.peer.Answer;
import dev.exile.rpc.peer.Departure;
import dev.exile.rpc.peer.Found;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.Reason;
import dev.exile.rpc.peer.RestoreReply;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.sockets.Carrier;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A further leg of a migration, seen from home, which coordinates it: the process moves from the
 * host where it is in exile to the next one, or back home. The same as a first move, but that the
 * host it leaves ({@link Leaving}) freezes, dumps and sends it. Home's real sockets, streams and
 * deputies stay as they are: they only wait meanwhile.
 *
 * <p>COMMIT is home's again: a single change of its journal, after which the process is at the next
 * host. Before it every failure lets the process run on where it was.
 */
final class HomeHop {
  private static final Logger LOG = LoggerFactory.getLogger(HomeHop.class);

  /** At home the process's UDP sockets share the ports of the real ones. */
  private static final int ANY_PORT = 0;

  private final Site site;
  private final Facts facts;
  private final Forwarding forwarding;
  private final PeerLink there;
  private final PeerLink next;
  private final String from;
  private final String leg;
  private final Consumer<String> doubt;
  private final Phases phases = new Phases();
  private final long startedNanos = System.nanoTime();
  private boolean accepted;
  private boolean paused;
  private boolean departed;
  private Carrier carrier;

  /**
   * @param there the host where it runs
   * @param leg names the leg
   * @param doubt hears why it is not settled after COMMIT
   */
  HomeHop(
      Site site,
      Facts facts,
      Forwarding forwarding,
      PeerLink there,
      PeerLink next,
      String leg,
      Consumer<String> doubt) {
    this.site = site;
    this.facts = facts;
    this.forwarding = forwarding;
    this.there = there;
    this.next = next;
    this.leg = leg;
    this.doubt = doubt;
    this.from = facts.currentLeg();
  }

  String leg() {
    return leg;
  }

  /**
   * How a leg ended.
   *
   * @param outcome migrated, rolled-back or in-doubt, in words of a report
   */
  record Outcome(String outcome, String reason) {}

  /** Goes all the way. */
  Outcome run() throws RefusedException {
    LOG.info("{}: leg {} from {} to {} begins", facts.id, leg, there.host(), next.host());
    RestoreReply restored;
    long frozen = System.nanoTime();
    RestoreRequest request;
    try {
      phases.begin("negotiating");
      negotiate();
      phases.begin("departing");
      carrier = next.carrier();
      frozen = System.nanoTime();
      paused = true;
      forwarding.pause(comesHome());
      site.faults().at("hop.departing");
      departed = true;
      RestoreRequest departing = there.depart(departure());
      phases.split(departing.getPhasesList());
      phases.begin("restoring");
      request = forwarding.named(departing);
      site.faults().at("hop.restoring");
      restored = next.restore(request);
      if (!restored.getRestored()) {
        throw new IOException(restored.getError());
      }
      if (!carrier.isOpen()) {
        throw new IOException("the carrier to " + next.host() + " is lost");
      }
      phases.begin("committing");
      there.hold(departure());
      site.faults().at("hop.committed");
      commit();
    } catch (RefusedException e) {
      rollBack(e.getMessage());
      throw e;
    } catch (Throwable e) {
      // Errors too: whatever it is, nobody else would let the process run on.
      if (!(e instanceof IOException)) {
        LOG.error("{}: unexpected failure of leg {}", facts.id, leg, e);
      }
      return rollBack(e.getMessage() == null ? e.toString() : e.getMessage());
    }
    site.faults().at("hop.settling");
    if (!settle(site, facts, next, doubt)) {
      return rollBack(next.host() + " has dropped the process before it ran");
    }
    facts.frozenMillis = millisSince(frozen);
    facts.established = request.getSocketsCount();
    facts.reconnectMicros = restored.getReconnectMicros();
    facts.bytesTransferred = request.getImageBytes();
    facts.phaseMillis = phases.end();
    forwarding.resume(next, carrier);
    forwarding.moved(request);
    forwarding.ended(missing(request));
    leave(there, departure());
    facts.totalMillis = millisSince(startedNanos);
    save();
    LOG.info("{}: leg {}: runs at {}", facts.id, leg, next.host());
    return new Outcome("migrated", "");
  }

  private boolean comesHome() {
    return next.host().equals(site.host());
  }

  private Departure departure() {
    return Departure.newBuilder().setId(from).setNext(leg).setTo(next.host()).build();
  }

  private void negotiate() throws IOException, RefusedException {
    Found found = there.look(departure());
    List<Refusal> refusals = new ArrayList<>(refusals(found.getRefusalsList()));
    Offer.Builder offer =
        asStartedHere(found.getOffer())
            .setId(leg)
            .setAlgorithm(facts.algorithm)
            .setImagesFrom(there.host())
            .setDryRun(!refusals.isEmpty());
    if (comesHome()) {
      offer.clearPorts(); // its first listeners hold them, see BoundListeners
      offer.getDatagramsBuilderList().forEach(need -> need.setPort(ANY_PORT));
    }
    Answer answer = next.negotiate(offer.build());
    refusals.addAll(refusals(answer.getRefusalsList()));
    for (String file : answer.getStreamedList()) {
      refusals.add(
          new Refusal(
              file + " is another file at " + next.host(),
              "only a first move has home go on writing it"));
    }
    accepted = !offer.getDryRun();
    if (!refusals.isEmpty()) {
      throw new RefusedException(refusals);
    }
  }

  /**
   * The process was started here, and chose by what this host has: the host that it leaves may be a
   * newer one, which must not keep it from coming home.
   */
  static Offer.Builder asStartedHere(Offer offer) {
    return offer.toBuilder()
        .setKernel(Host.kernel())
        .clearCpuFeatures()
        .addAllCpuFeatures(Host.cpuFeatures());
  }

  private static List<Refusal> refusals(List<Reason> reasons) {
    return reasons.stream()
        .map(reason -> new Refusal(reason.getWhat(), reason.getRemedy()))
        .toList();
  }

  /** Those that home has deputies of, and which did not live to leave. */
  private List<Integer> missing(RestoreRequest request) {
    Set<Integer> gone = new HashSet<>(facts.members);
    gone.removeAll(request.getPidsList());
    return List.copyOf(gone);
  }

  // ---- COMMIT. ----

  private void commit() throws IOException {
    synchronized (facts) { // what is saved meanwhile is the one or the other
      facts.unsettledHost = there.host();
      facts.unsettledLeg = from;
      place(facts, leg, next.host());
    }
    try {
      site.journal().save(facts);
    } catch (IOException e) {
      undoCommit(site, facts);
      throw e;
    }
  }

  private static void place(Facts facts, String leg, String host) {
    List<String> way = new ArrayList<>(facts.way);
    if (way.isEmpty()) {
      way.addAll(List.of(facts.from, facts.to));
    }
    way.add(host);
    facts.way = List.copyOf(way);
    facts.leg = leg;
    facts.to = host;
  }

  /** The disk is to know of it before anything runs: until then it is tried again. */
  static void undoCommit(Site site, Facts facts) {
    synchronized (facts) {
      facts.leg = facts.unsettledLeg;
      facts.to = facts.unsettledHost;
      facts.way = List.copyOf(facts.way.subList(0, facts.way.size() - 1));
      facts.unsettledLeg = "";
      facts.unsettledHost = "";
    }
    Settling.save(site.journal(), facts);
  }

  /**
   * Tells the next host until it knows.
   *
   * @param doubt hears why it is not settled
   * @return false where it affirms that the process never ran there, and never will; the journal
   *     says so, too, by then
   */
  static boolean settle(Site site, Facts facts, PeerLink next, Consumer<String> doubt) {
    DestinationState there =
        Settling.tellCommitted(next, facts.currentLeg(), doubt)
            .orElseThrow(() -> new IllegalStateException("the agent is being stopped"));
    if (there == DestinationState.ABORTED) {
      undoCommit(site, facts);
      return false;
    }
    synchronized (facts) {
      facts.unsettledHost = "";
      facts.unsettledLeg = "";
    }
    Settling.save(site.journal(), facts);
    return true;
  }

  /** It asks us by itself where this does not reach it. */
  static void leave(PeerLink there, Departure departure) {
    try {
      there.leave(departure);
    } catch (IOException e) {
      LOG.info(
          "{}: {} will learn later that it has left: {}",
          departure.getId(),
          there.host(),
          e.toString());
    }
  }

  // ---- Rollback. ----

  private Outcome rollBack(String reason) {
    LOG.info("{}: leg {} to {} is undone: {}", facts.id, leg, next.host(), reason);
    if (departed) {
      // It asks us by itself where this does not reach it.
      tell("stays at " + there.host(), () -> there.stay(departure()));
    }
    if (accepted) {
      tell("is dropped at " + next.host(), () -> next.abort(leg));
    }
    if (carrier != null) {
      carrier.close();
    }
    if (paused) {
      forwarding.resume(there, null);
    }
    return new Outcome("rolled-back", reason);
  }

  private void tell(String what, Removals.Step call) {
    try {
      call.run();
    } catch (IOException e) {
      LOG.info("{}: that it {} is told later: {}", facts.id, what, e.toString());
    }
  }

  private void save() {
    try {
      site.journal().save(facts);
    } catch (IOException e) {
      LOG.error("{}: cannot save its figures", facts.id, e);
    }
  }

  private static long millisSince(long nanos) {
    return (System.nanoTime() - nanos) / 1_000_000;
  }
}
