package dev.exile.migration;

import static java.util.concurrent.TimeUnit.MILLISECONDS;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.rpc.peer.ListenerPlan;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SocketPlan;
import dev.exile.sockets.Carrier;
import dev.exile.sockets.HomeRelay;
import dev.exile.sockets.TakenSocket;
import dev.exile.sockets.TakenSockets;
import dev.exile.streams.HomeStreams;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's sockets through one migration: the carriers are opened ahead of the freeze, the sockets
 * taken in it, handed to the relay when the destination is ready, and relayed once it runs.
 */
final class HomeSockets {
  private static final Logger LOG = LoggerFactory.getLogger(HomeSockets.class);
  private static final Duration FLUSH = Duration.ofSeconds(10);
  private static final long RETRY_MILLIS = 500;

  /** In the freeze nobody waits for a destination that has vanished. */
  private static final Duration IMAGES_SILENCE = Duration.ofSeconds(10);

  private final Facts facts;
  private final PeerLink peer;
  private Carrier images;
  private Carrier relayed;
  private TakenSockets taken;
  private HomeRelay relay;
  private boolean ended;

  private HomeSockets(Facts facts, PeerLink peer) {
    this.facts = facts;
    this.peer = peer;
  }

  /** Opens the carriers. */
  static HomeSockets open(Facts facts, PeerLink peer) throws IOException {
    HomeSockets sockets = new HomeSockets(facts, peer);
    sockets.images = peer.carrier();
    sockets.images.giveUpAfter(IMAGES_SILENCE);
    try {
      sockets.relayed = peer.carrier();
    } catch (IOException e) {
      sockets.images.close();
      throw e;
    }
    return sockets;
  }

  /** After the agent was started again: the sockets are in the frozen bodies. */
  static HomeSockets ofBodies(Facts facts, PeerLink peer) {
    return new HomeSockets(facts, peer);
  }

  /** Takes duplicates of all TCP sockets of the frozen processes. */
  void take(List<Integer> pids) throws IOException {
    taken = TakenSockets.take(pids);
    for (TakenSockets.OtherSocket other : taken.others()) {
      if (other.internet()) {
        throw new IOException(
            "process %d has opened a socket that is not TCP since it was surveyed (descriptor %d)"
                .formatted(other.pid(), other.fd()));
      }
    }
  }

  /** Fails where the carriers are lost: committed now, all connections would be reset. */
  void checkCarriers() throws IOException {
    if (!relayed.isOpen()) {
      throw new IOException("the carrier to " + peer.host() + " is lost");
    }
  }

  /** What was taken. */
  TakenSockets taken() {
    return taken;
  }

  CompletableFuture<Long> sendImage(Path file, LongConsumer sent) {
    return images.sendFile(facts.id, file.getFileName().toString(), file, sent);
  }

  /** Tells the destination which sockets it is to give back to the process. */
  void describe(RestoreRequest.Builder request) {
    for (TakenSocket socket : taken.connections()) {
      request.addSockets(
          SocketPlan.newBuilder()
              .setKey(socket.key())
              .setPid(socket.pid())
              .setFd(socket.fd())
              .setIpv6(socket.ipv6())
              .setMapped(socket.mapped())
              .setShutWrite(socket.shutWrite()));
    }
    for (TakenSocket socket : taken.listeners()) {
      request.addListeners(
          ListenerPlan.newBuilder()
              .setKey(socket.key())
              .setAddress(socket.local().getAddress().getHostAddress())
              .setPort(socket.local().getPort()));
    }
  }

  /**
   * Hands the duplicates, and the streams' wires, to the relay, which does not touch them before
   * {@link #start}.
   */
  void adopt(HomeStreams streams) throws IOException {
    HomeRelay adopting = new HomeRelay(relayed, facts.id);
    for (TakenSocket socket : taken.all()) {
      if (socket.listening()) {
        adopting.adoptListener(socket.name(), socket.duplicate());
      } else {
        adopting.adoptConnection(socket.name(), socket.duplicate());
      }
    }
    taken.handOver();
    relay = adopting;
    streams.adopt(adopting);
  }

  /** The process runs at the destination: reading and accepting may begin. */
  void start() {
    if (relay == null) {
      reconnect();
      return;
    }
    relay.start();
    images.close();
    relayed.onClosed(this::reconnect);
  }

  private void reconnect() {
    Thread thread = new Thread(this::keepTrying, "relay-" + facts.id);
    thread.setDaemon(true);
    thread.start();
  }

  private void keepTrying() {
    while (true) {
      try {
        synchronized (this) {
          if (ended) {
            return;
          }
          relayBodies();
        }
        LOG.info("{}: relays again", facts.id);
        return;
      } catch (IOException e) {
        LOG.debug("{}: no carrier yet: {}", facts.id, e.getMessage());
      } catch (RuntimeException e) {
        LOG.error("{}: cannot relay, trying again", facts.id, e);
      }
      if (!pause()) {
        return;
      }
    }
  }

  private static boolean pause() {
    try {
      Thread.sleep(RETRY_MILLIS);
      return true;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }

  /**
   * Relays anew, from the sockets that the frozen bodies hold. Connections that were relayed before
   * cannot go on, as what the last relay had in its hands is lost: they are reset, so that clients
   * know. Those in the backlogs lose nothing.
   */
  private void relayBodies() throws IOException {
    Carrier carrier = peer.carrier();
    try (TakenSockets bodies = TakenSockets.take(FrozenTree.bodies(facts))) {
      HomeRelay anew = new HomeRelay(carrier, facts.id);
      for (TakenSocket socket : bodies.connections()) {
        Inet.disconnect(socket.duplicate());
      }
      for (TakenSocket socket : bodies.listeners()) {
        anew.adoptListener(socket.name(), Linux.duplicate(socket.duplicate()));
      }
      anew.start();
      relay = anew;
      relayed = carrier;
    } catch (IOException | RuntimeException e) {
      carrier.close();
      throw e;
    }
    // A connection that is lost at once must not make us spin.
    carrier.onClosed(
        () ->
            CompletableFuture.delayedExecutor(RETRY_MILLIS, MILLISECONDS).execute(this::reconnect));
  }

  /** Lets everything go untouched. */
  void abandon() throws IOException {
    if (relay != null) {
      relay.abandon();
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
    HomeRelay last;
    Carrier carrier;
    synchronized (this) {
      ended = true;
      last = relay;
      carrier = relayed;
    }
    if (last != null) {
      last.close(FLUSH);
      carrier.close();
    }
  }
}
