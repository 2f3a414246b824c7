package dev.exile.migration;

import dev.exile.ipc.CellShared;
import dev.exile.linux.Inet;
import dev.exile.negotiation.Refusal;
import dev.exile.negotiation.Survey;
import dev.exile.process.Cell;
import dev.exile.process.ProcessTree;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.PortNeed;
import dev.exile.sockets.DestinationDatagrams;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.Passages;
import dev.exile.sockets.TakenDatagrams;
import dev.exile.sockets.TakenSocket;
import dev.exile.sockets.TakenSockets;
import dev.exile.streams.DestinationStreams;
import dev.exile.streams.Terminal;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Whether a process that lives in exile here can move on: what it needs at the next host, and what
 * of it cannot travel a second time. Nothing is touched.
 */
final class LeavingSurvey {
  private final Site site;
  private final Facts facts;
  private final DestinationRelay relay;
  private final DestinationStreams streams;
  private final List<Refusal> refusals = new ArrayList<>();

  LeavingSurvey(Site site, Facts facts, DestinationRelay relay, DestinationStreams streams) {
    this.site = site;
    this.facts = facts;
    this.relay = relay;
    this.streams = streams;
  }

  /** Looks. */
  Survey.Findings look(Cell cell) throws IOException, InterruptedException {
    if (facts.rootEnded) {
      throw new IOException("process " + facts.pid + " has ended; its descendants stay");
    }
    ProcessTree tree = tree(facts, cell);
    Survey.Findings found = Survey.inCell(tree, site.criu(), site.digests(), facts.device);
    refusals.addAll(found.refusals());
    kinds(tree);
    CellShared shared = CellShared.of(tree.pids(), cell.init());
    shared.refused().forEach(refused -> refuse(refused, Survey.SHARED_REMEDY));
    Offer.Builder offer =
        found.offer().toBuilder()
            .setPid(facts.pid)
            .setImageBytes(found.offer().getImageBytes() + shared.bytes())
            .clearPorts();
    try (TakenSockets sockets = TakenSockets.take(tree.pids())) {
      for (TakenSocket socket : Passages.strangers(relay, tree.pids())) {
        refuse(
            "descriptor %d is connected to %s by %s itself"
                .formatted(socket.fd(), socket.peer(), site.host()),
            "let it be closed first: only connections of its home move on");
      }
      for (TakenDatagrams socket : DestinationDatagrams.strangers(tree.pids(), facts.device)) {
        refuse(
            "descriptor %d is a UDP socket of %s itself, at %s"
                .formatted(socket.fd(), site.host(), socket.local()),
            "let it be closed first: only those that it had at its home move on");
      }
      Map<InetSocketAddress, InetSocketAddress> first = BoundListeners.first(facts);
      for (TakenSocket listener : sockets.listeners()) {
        InetSocketAddress at = first.getOrDefault(listener.local(), listener.local());
        offer.addPorts(
            PortNeed.newBuilder()
                .setAddress(at.getAddress().getHostAddress())
                .setPort(at.getPort()));
      }
    }
    return new Survey.Findings(offer.build(), List.copyOf(refusals));
  }

  private void kinds(ProcessTree tree) throws IOException {
    if (streams.terminal() || Terminal.of(tree.pids()) != null) {
      refuse("it has a terminal that leads home", "that travels once only");
    }
  }

  private void refuse(String what, String remedy) {
    refusals.add(new Refusal(what, remedy));
  }

  /**
   * The tree, as this host counts.
   *
   * @throws IOException where the cell holds processes beside it, which would stay behind
   */
  static ProcessTree tree(Facts facts, Cell cell) throws IOException {
    // These first: what is born meanwhile is in the tree.
    Set<Integer> beside = new HashSet<>(cell.members().values());
    ProcessTree tree =
        ProcessTree.of(facts.rootHere).orElseThrow(() -> new ProcessEndedException(facts.rootHere));
    tree.pids().forEach(beside::remove);
    for (int pid : beside) {
      if (ProcessTree.of(pid).filter(other -> other.root().state() != 'Z').isPresent()) {
        throw new IOException(
            "process %d here has outlived its parent, and is in the tree no more".formatted(pid));
      }
    }
    return tree;
  }

  /** Where a listener can be asked, how many connections its process has still to accept. */
  static int unaccepted(TakenSockets sockets) throws IOException {
    int all = 0;
    for (TakenSocket listener : sockets.listeners()) {
      all += Inet.backlog(listener.duplicate());
    }
    return all;
  }
}
