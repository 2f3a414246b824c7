package dev.exile.migration;

import dev.exile.linux.Linux;
import dev.exile.rpc.peer.ListenerPlan;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SocketPlan;
import dev.exile.sockets.Carrier;
import dev.exile.sockets.HomeRelay;
import dev.exile.sockets.TakenSocket;
import dev.exile.sockets.TakenSockets;
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

  private final String id;
  private final Carrier images;
  private final Carrier relayed;
  private TakenSockets taken;
  private HomeRelay relay;

  /** Opens the carriers. */
  HomeSockets(String id, PeerLink peer) throws IOException {
    this.id = id;
    images = peer.carrier();
    try {
      relayed = peer.carrier();
    } catch (IOException e) {
      images.close();
      throw e;
    }
  }

  /** Takes duplicates of all TCP sockets of the frozen processes. */
  void take(List<Integer> pids) throws IOException {
    taken = TakenSockets.take(pids);
  }

  /** What was taken. */
  TakenSockets taken() {
    return taken;
  }

  CompletableFuture<Long> sendImage(Path file, LongConsumer sent) {
    return images.sendFile(id, file.getFileName().toString(), file, sent);
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

  /** Hands the duplicates to the relay, which does not touch them before {@link #start}. */
  void adopt() {
    relay = new HomeRelay(relayed, id);
    for (TakenSocket socket : taken.all()) {
      if (socket.listening()) {
        relay.adoptListener(socket.key(), socket.duplicate());
      } else {
        relay.adoptConnection(socket.key(), socket.duplicate());
      }
    }
    taken.handOver();
  }

  /**
   * After the agent was started again: takes the listeners from the bodies. The connections cannot
   * go on, as what the last agent had in its hands is lost: they are reset, so that clients know.
   */
  void retake(List<Integer> bodies) throws IOException {
    taken = TakenSockets.take(bodies);
    for (TakenSocket socket : taken.connections()) {
      Linux.disconnect(socket.duplicate());
      Linux.close(socket.duplicate());
    }
    relay = new HomeRelay(relayed, id);
    for (TakenSocket socket : taken.listeners()) {
      relay.adoptListener(socket.key(), socket.duplicate());
    }
    taken.handOver();
  }

  /** The process runs at the destination: reading and accepting may begin. */
  void start() {
    relay.start();
    images.close();
  }

  /** Lets everything go untouched. */
  void abandon() {
    if (relay != null) {
      relay.abandon();
    }
    if (taken != null) {
      taken.close();
    }
    images.close();
    relayed.close();
  }

  /** The process has ended: what is still under way is delivered, then the sockets end. */
  void end() {
    relay.close(FLUSH);
    relayed.close();
    LOG.debug("{}: its sockets have ended", id);
  }
}
