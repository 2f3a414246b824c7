package dev.exile.migration;

import dev.exile.linux.Linux;
import dev.exile.rpc.peer.DatagramPlan;
import dev.exile.rpc.peer.Endpoint;
import dev.exile.rpc.peer.ListenerPlan;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SocketPlan;
import dev.exile.sockets.Carrier;
import dev.exile.sockets.ExileRoom;
import dev.exile.sockets.Felt;
import dev.exile.sockets.HomeDatagrams;
import dev.exile.sockets.HomeRelay;
import dev.exile.sockets.TakenDatagrams;
import dev.exile.sockets.TakenSocket;
import dev.exile.sockets.TakenSockets;
import dev.exile.streams.HomeStreams;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's sockets through one migration: the carriers are opened ahead of the freeze, the sockets
 * taken and parked in it, and relayed once the process runs at the destination.
 */
final class HomeSockets {
  private static final Logger LOG = LoggerFactory.getLogger(HomeSockets.class);
  private static final Duration FLUSH = Duration.ofSeconds(10);

  /** In the freeze nobody waits for a destination that has vanished. */
  private static final Duration IMAGES_SILENCE = Duration.ofSeconds(10);

  private final Facts facts;
  private final HomeRelay relay;
  private final Carrier images;
  private final Carrier relayed;
  private final PeerLink peer;
  private final Site site;
  private TakenSockets taken;
  private volatile HomeDatagrams datagrams;
  private final ExileRoom room;
  private CompletableFuture<Void> parking = CompletableFuture.completedFuture(null);

  private HomeSockets(Facts facts, PeerLink peer, Site site, Carrier images, Carrier relayed)
      throws IOException {
    this.facts = facts;
    this.peer = peer;
    this.site = site;
    this.relay = relay(facts, peer, site);
    this.images = images;
    this.relayed = relayed;
    room = new ExileRoom(facts.id);
  }

  /** Opens the carriers and the park. */
  static HomeSockets open(Facts facts, PeerLink peer, Site site) throws IOException {
    Carrier images = peer.carrier();
    images.giveUpAfter(IMAGES_SILENCE);
    Carrier relayed = null;
    try {
      relayed = peer.carrier();
      return new HomeSockets(facts, peer, site, images, relayed);
    } catch (IOException e) {
      images.close();
      if (relayed != null) {
        relayed.close();
      }
      throw e;
    }
  }

  private static HomeRelay relay(Facts facts, PeerLink peer, Site site) throws IOException {
    return new HomeRelay(facts.currentLeg(), site.parks().open(parkName(facts)), peer::carrier);
  }

  private static String parkName(Facts facts) {
    return facts.id + ".home";
  }

  private static String datagramParkName(Facts facts) {
    return facts.id + ".datagrams";
  }

  private void openDatagrams() throws IOException {
    datagrams =
        new HomeDatagrams(
            facts.id,
            facts.currentLeg(),
            site.parks().open(datagramParkName(facts)),
            peer::carrier);
  }

  /** After the agent was started again: what the former one has parked. */
  static HomeSockets ofParked(Facts facts, PeerLink peer, Site site) throws IOException {
    HomeSockets sockets = new HomeSockets(facts, peer, site, null, null);
    if (facts.datagrams > 0) {
      sockets.openDatagrams();
    }
    return sockets;
  }

  /** After the agent was started again and nothing is to be relayed: lets all go untouched. */
  static void abandonParked(Facts facts, Site site) throws IOException {
    site.parks().end(parkName(facts));
    if (facts.datagrams > 0) {
      site.parks().end(datagramParkName(facts));
    }
  }

  /**
   * Takes duplicates of all TCP and UDP sockets of the frozen processes. They are parked meanwhile,
   * see {@link #adopt}.
   */
  void take(List<Integer> pids) throws IOException {
    taken = TakenSockets.take(pids);
    for (TakenSockets.OtherSocket other : taken.others()) {
      if (other.internet()) {
        throw new IOException(
            "process %d has opened a raw socket since it was surveyed (descriptor %d)"
                .formatted(other.pid(), other.fd()));
      }
      if (other.busyNetlink()) {
        throw new IOException(
            "descriptor %d of process %d is a netlink socket in use; try again"
                .formatted(other.fd(), other.pid()));
      }
      if (other.passing()) {
        throw new IOException(
            "descriptor %d of process %d holds descriptors that were sent and not yet received; try again"
                .formatted(other.fd(), other.pid()));
      }
    }
    facts.unixPaths = UnixPaths.of(taken.others());
    facts.datagrams = taken.datagrams().size();
    if (facts.datagrams > 0) {
      site.journal().save(facts); // before they are parked: whoever comes after us finds them
    }
    parking = CompletableFuture.runAsync(this::park);
  }

  private void park() {
    Deque<TakenSocket> left = new ArrayDeque<>(taken.handOver());
    try {
      while (!left.isEmpty()) {
        park(left.remove());
      }
      relay.awaitParked();
    } catch (IOException e) {
      left.forEach(socket -> Linux.closeQuietly(socket.duplicate()));
      throw new CompletionException(e);
    }
    parkDatagrams();
  }

  private void parkDatagrams() {
    if (taken.datagrams().isEmpty()) {
      return;
    }
    try {
      openDatagrams();
      datagrams.adopt(taken.handOverDatagrams());
    } catch (IOException e) {
      throw new CompletionException(e);
    }
  }

  private void park(TakenSocket socket) throws IOException {
    if (socket.listening()) {
      relay.adoptListener(socket.name(), socket.duplicate());
    } else {
      relay.adoptConnection(socket.name(), socket.duplicate());
    }
  }

  /** Fails where the carriers are lost: committed now, all connections would have to wait. */
  void checkCarriers() throws IOException {
    if (!relayed.isOpen()) {
      throw new IOException("the carrier to " + relayed.peerName() + " is lost");
    }
    if (datagrams != null) {
      datagrams.check();
    }
  }

  /** What was taken. */
  TakenSockets taken() {
    return taken;
  }

  /**
   * Once the sockets are in the images as they were: until the end of exile more may wait in them.
   */
  void makeRoom() throws IOException {
    for (TakenDatagrams socket : taken.datagrams()) {
      room.give(socket.pid(), socket.fd());
    }
  }

  /** Sends CRIU's images; returns when the destination has them. */
  void sendImages() throws IOException, InterruptedException {
    ImageTransfer.send(images, facts.id, site.images(facts.id), facts::sent);
  }

  /** Tells the destination which sockets it is to give back to the process. */
  void describe(RestoreRequest.Builder request) {
    for (TakenSocket socket : taken.connections()) {
      SocketPlan.Builder plan =
          SocketPlan.newBuilder()
              .setKey(socket.key())
              .setPid(socket.pid())
              .setFd(socket.fd())
              .setIpv6(socket.ipv6())
              .setMapped(socket.mapped())
              .setShutWrite(socket.shutWrite())
              .setConnecting(socket.connecting())
              .setOwn(endpoint(socket.local()));
      if (socket.peer() != null) {
        plan.setPeer(endpoint(socket.peer()));
      }
      request.addSockets(plan);
    }
    request.addAllUnixPaths(facts.unixPaths.keySet());
    for (TakenDatagrams socket : taken.datagrams()) {
      request.addDatagrams(plan(socket, socket.pid()));
    }
    for (TakenSocket socket : taken.listeners()) {
      request.addListeners(
          ListenerPlan.newBuilder()
              .setKey(socket.key())
              .setAddress(socket.local().getAddress().getHostAddress())
              .setPort(socket.local().getPort())
              .setPid(socket.pid())
              .setFd(socket.fd()));
    }
  }

  /**
   * Tells the next host of a UDP socket.
   *
   * @param pid its holder, as home numbers it
   */
  static DatagramPlan.Builder plan(TakenDatagrams socket, int pid) {
    DatagramPlan.Builder plan =
        DatagramPlan.newBuilder().setPid(pid).setFd(socket.fd()).setOwn(endpoint(socket.local()));
    if (socket.peer() != null) {
      plan.setPeer(endpoint(socket.peer()));
    }
    return plan;
  }

  static Endpoint endpoint(InetSocketAddress address) {
    return Endpoint.newBuilder()
        .setAddress(address.getAddress().getHostAddress())
        .setPort(address.getPort())
        .build();
  }

  /**
   * Waits until all sockets, and the streams' wires, will outlive this agent. Nothing touches them
   * before {@link #start}.
   *
   * @throws IOException where one could not be parked
   */
  void adopt(HomeStreams streams) throws IOException {
    awaitParking();
    streams.adopt(relay);
    relay.awaitParked();
  }

  private void awaitParking() throws IOException {
    try {
      parking.join();
    } catch (CompletionException e) {
      throw new IOException(e.getCause().getMessage(), e);
    }
  }

  /** The process runs at the destination: reading and accepting may begin. */
  void start() {
    room.close();
    relay.start(relayed);
    if (datagrams != null) {
      datagrams.start();
    }
    if (images != null) {
      images.close();
    }
  }

  /**
   * Puts the true addresses of connections into a plan for the next host: where they have just been
   * relayed they may have borne others.
   */
  RestoreRequest named(RestoreRequest request) throws IOException {
    RestoreRequest.Builder named = request.toBuilder();
    for (SocketPlan.Builder plan : named.getSocketsBuilderList()) {
      HomeRelay.Addresses real = relay.addresses(plan.getName());
      if (real != null) {
        plan.setOwn(endpoint(real.own())).setPeer(endpoint(real.peer()));
      }
    }
    return named.build();
  }

  /**
   * Lets the carriers go; connections and datagrams wait.
   *
   * @param home whether it is about to come home
   */
  void pause(boolean home) {
    relay.pause();
    if (datagrams != null) {
      datagrams.pause(home);
    }
  }

  /** It has moved on and has no UDP sockets there: it has closed those that it had. */
  void withoutDatagrams() {
    try {
      endDatagrams();
    } catch (IOException e) {
      LOG.error("{}: its UDP sockets stay at home", facts.id, e);
    }
  }

  private void endDatagrams() throws IOException {
    if (facts.datagrams == 0) {
      return;
    }
    if (datagrams != null) {
      datagrams.close();
      datagrams = null;
    } else {
      site.parks().end(datagramParkName(facts));
    }
    facts.datagrams = 0;
    site.journal().save(facts);
  }

  /** Relays again, to where the facts tell. */
  void resume(PeerLink peer, Carrier carrier) {
    relay.resume(facts.currentLeg(), peer::carrier, carrier);
    if (datagrams != null) {
      datagrams.resume(facts.currentLeg(), peer::carrier);
    }
  }

  /** Connections that are relayed here, or wait for that. */
  int held() {
    return relay.held();
  }

  /** What the clients felt of the move. */
  Felt felt() {
    return relay.felt();
  }

  /** Lets everything go untouched. */
  void abandon() throws IOException {
    try {
      awaitParking();
    } catch (IOException e) {
      // Maybe the very reason of the rollback.
      LOG.info("{}: not all of its sockets were parked: {}", facts.id, e.getMessage());
    }
    room.takeBack();
    relay.abandon();
    if (datagrams != null) {
      datagrams.close();
    }
    if (taken != null) {
      taken.close();
    }
    if (images != null) {
      images.close();
    }
    if (relayed != null) {
      relayed.close();
    }
  }

  /** The process has ended: what is still under way is delivered, then the sockets end. */
  void end() {
    relay.close(FLUSH);
    if (datagrams != null) {
      datagrams.close();
    }
  }
}
