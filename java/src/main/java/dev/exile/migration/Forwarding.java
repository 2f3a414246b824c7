package dev.exile.migration;

import dev.exile.rpc.peer.Observation;
import dev.exile.rpc.peer.Place;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.Signal;
import dev.exile.rpc.peer.SignalBatch;
import dev.exile.shim.ShimException;
import dev.exile.signals.Deputies;
import dev.exile.signals.Deputizing;
import dev.exile.signals.SentSignal;
import dev.exile.sockets.Carrier;
import dev.exile.streams.HomeStreams;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Step 5 at home, from the process's resume at the destination to its end: the sockets are relayed,
 * the frozen bodies become deputies, signals go there and stops and ends come back. An agent that
 * was started again begins it again.
 */
final class Forwarding {
  private static final Logger LOG = LoggerFactory.getLogger(Forwarding.class);

  private static final Duration PATIENCE = Duration.ofSeconds(2);
  private static final Duration OUTPUT_PATIENCE = Duration.ofSeconds(1);

  private final Site site;
  private final Facts facts;
  private volatile PeerLink peer;
  private volatile boolean paused;
  private final HomeSockets sockets;
  private final HomeStreams streams;
  private final Deputies deputies;

  Forwarding(Site site, Facts facts, PeerLink peer, HomeSockets sockets, HomeStreams streams) {
    this.site = site;
    this.facts = facts;
    this.peer = peer;
    this.sockets = sockets;
    this.streams = streams;
    deputies =
        new Deputies(
            new Deputizing(
                facts.id,
                facts.memberStarts,
                Path.of(facts.cgroup),
                FrozenTree.origins(facts),
                "exile: " + facts.command + " @" + facts.to,
                facts.missingBytes > 0 && !facts.memoryComplete),
            site.shim(),
            site.deputies(),
            site.run().resolve(facts.id + ".deputies"),
            this::deliver,
            this::delivered);
  }

  /**
   * Begins. The process runs whatever fails here: what is missing is for the operator to see.
   *
   * @param frozen the tree, where this agent has frozen it; else null
   */
  void start(FrozenTree frozen) {
    try {
      sockets.start();
      streams.start();
      if (frozen != null) {
        frozen.leave();
      }
      Directories.delete(site.images(facts.id));
      Files.deleteIfExists(site.log(facts.id, "dump"));
    } catch (IOException e) {
      LOG.error("{}: forwarding is not complete", facts.id, e);
    }
    try {
      deputies.start();
    } catch (ShimException e) {
      LOG.error(
          "{}: signals to some of its processes are not forwarded: {}", facts.id, e.getMessage());
    } catch (IOException e) {
      LOG.error("{}: signals are not forwarded", facts.id, e);
    }
  }

  /**
   * The process is about to move on: signals and connections wait.
   *
   * @param home whether it moves to this very host
   */
  void pause(boolean home) {
    paused = true;
    sockets.pause(home);
  }

  /**
   * Goes on, as the facts tell where it is.
   *
   * @param there that host
   * @param carrier a first one to it, or null
   */
  void resume(PeerLink there, Carrier carrier) {
    peer = there;
    sockets.resume(there, carrier);
    paused = false;
  }

  /**
   * A leg is committed: what did not move on with the process ends at home, too.
   *
   * @param request what moved on
   */
  void moved(RestoreRequest request) {
    if (request.getDatagramsCount() == 0) {
      sockets.withoutDatagrams();
    }
  }

  /** See {@link HomeSockets#named}. */
  RestoreRequest named(RestoreRequest request) throws IOException {
    return sockets.named(request);
  }

  /** Processes have ended that home has deputies of. */
  void ended(List<Integer> pids) {
    deputies.ended(pids);
  }

  // ---- Signals there. ----

  private Map<Integer, Integer> deliver(List<SentSignal> batch) throws IOException {
    if (paused) {
      throw new IOException("it is on its way to another host; send again");
    }
    SignalBatch.Builder request = SignalBatch.newBuilder().setId(facts.currentLeg());
    List<SentSignal> taken = new ArrayList<>();
    for (SentSignal signal : batch) {
      if (signal.number() == SentSignal.SIGCONT) {
        request.setPlace(continued());
      }
      if (signal.isWindowChange() && resized()) {
        taken.add(signal);
        continue;
      }
      request.addSignals(
          Signal.newBuilder()
              .setPid(signal.pid())
              .setSequence(signal.sequence())
              .setTid(signal.tid())
              .setSiginfo(signal.siginfo()));
    }
    Map<Integer, Integer> delivered = new HashMap<>();
    if (request.getSignalsCount() > 0) {
      delivered.putAll(peer.deliver(request.build()).getDeliveredMap());
    }
    return taken.isEmpty() ? delivered : counting(batch, taken, delivered);
  }

  // A signal goes its way, whatever has become of the terminal.

  private Place continued() {
    try {
      return streams.continued();
    } catch (IOException e) {
      LOG.warn("{}: its place in its terminal is not known: {}", facts.id, e.getMessage());
      return Place.UNKNOWN;
    }
  }

  private boolean resized() {
    try {
      return streams.resized();
    } catch (IOException e) {
      LOG.warn("{}: its terminal's size is not passed on: {}", facts.id, e.getMessage());
      return false;
    }
  }

  /** How many of a batch are done, from the start on, where others than `taken` were delivered. */
  private static Map<Integer, Integer> counting(
      List<SentSignal> batch, List<SentSignal> taken, Map<Integer, Integer> delivered) {
    Map<Integer, Integer> done = new HashMap<>();
    Set<Integer> waiting = new HashSet<>();
    for (SentSignal signal : batch) {
      boolean is = taken.contains(signal) || delivered.merge(signal.pid(), -1, Integer::sum) >= 0;
      if (is && !waiting.contains(signal.pid())) {
        done.merge(signal.pid(), 1, Integer::sum);
      } else {
        waiting.add(signal.pid());
      }
    }
    return done;
  }

  private void delivered(List<SentSignal> signals) {
    Map<Integer, Long> held = new TreeMap<>(facts.signalsHeld);
    Map<Integer, Long> forwarded = new TreeMap<>(facts.signalsForwarded);
    signals.forEach(s -> (s.held() ? held : forwarded).merge(s.number(), 1L, Long::sum));
    facts.signalsHeld = held;
    facts.signalsForwarded = forwarded;
  }

  // ---- Stops and ends from there. ----

  /**
   * What the processes at the destination do, their deputies do after them.
   *
   * @throws IOException while what they have written before is still coming; to be told again
   */
  void observe(Observation seen) throws IOException {
    deputies.ended(seen.getEndedPidsList());
    if (seen.getRootEnded() || seen.getStopSignal() != 0) {
      giveBack(seen.getWrittenMap());
    }
    if (seen.getRootEnded()) {
      deputies.rootEnded(seen.getRootStatus());
    } else {
      deputies.rootStopped(seen.getStopSignal());
    }
  }

  /**
   * Who waits for the process may look at what it has written as soon as it has ended, and takes
   * back its terminal as soon as it has stopped.
   */
  private void giveBack(Map<String, Long> written) throws IOException {
    boolean over = true;
    try {
      over = streams.awaitDelivered(written, OUTPUT_PATIENCE);
      if (over) {
        streams.release();
      }
    } catch (IOException e) {
      LOG.warn("{}: some of what it has written may come later: {}", facts.id, e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (!over) {
      throw new IOException("what it has written is still coming; tell again");
    }
  }

  /**
   * All processes have ended.
   *
   * @throws IOException where not all deputies have done so, too; to be called again
   */
  void end(int waitStatus) throws IOException {
    FrozenTree.endBody(facts); // of those that could not become deputies
    try {
      if (!deputies.end(waitStatus, PATIENCE)) {
        throw new IOException("its deputies are about to end; tell again");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("the agent is being stopped; tell the next one", e);
    }
    sockets.end();
    streams.drop();
    deputies.forget();
  }
}
