package dev.exile.migration;

import dev.exile.criu.UdpImages;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.sockets.DestinationDatagrams;
import dev.exile.sockets.TakenDatagrams;
import dev.exile.sockets.TakenSockets;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The UDP sockets of a process that leaves a host which is not its home. */
final class LeavingDatagrams {
  private static final Logger LOG = LoggerFactory.getLogger(LeavingDatagrams.class);

  private final Site site;
  private final Facts facts;
  private final DestinationDatagrams datagrams;

  LeavingDatagrams(Site site, Facts facts, DestinationDatagrams datagrams) {
    this.site = site;
    this.facts = facts;
    this.datagrams = datagrams;
  }

  /**
   * Tells the next host of them; the process stands frozen.
   *
   * @param inner the processes' PIDs in the cell by those on this host
   * @throws IOException where one is this host's own
   */
  void describe(
      RestoreRequest.Builder request, List<TakenDatagrams> sockets, Map<Integer, Integer> inner)
      throws IOException {
    for (TakenDatagrams socket : sockets) {
      if (!socket.isOf(facts.device)) {
        throw new IOException(
            "descriptor %d of process %d is by now a UDP socket of %s itself"
                .formatted(socket.fd(), inner.get(socket.pid()), site.host()));
      }
      request.addDatagrams(HomeSockets.plan(socket, inner.get(socket.pid())));
    }
  }

  /** See {@link DestinationDatagrams#halt}. */
  void halt() throws IOException {
    datagrams.halt();
  }

  /** CRIU has dumped the sockets; what waits in them it leaves out. */
  void save(List<Integer> frozen) throws IOException {
    try (TakenSockets taken = TakenSockets.take(frozen)) {
      if (taken.datagrams().isEmpty()) {
        return;
      }
      UdpImages.unbind(site.images(facts.id));
      int waiting = datagrams.save(site.images(facts.id), taken.datagrams());
      datagrams.makeRoom(taken.datagrams()); // CRIU has seen what they had
      LOG.info("{}: {} datagrams wait in its sockets", facts.id, waiting);
    }
  }
}
