package dev.exile.sockets;

import dev.exile.linux.DatagramIo;
import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What {@link HomeDatagrams} does over one carrier, on its event loop: reads the real sockets, and
 * sends by them what the process has sent.
 */
// What ends or closes a stream cannot fail in a way that matters.
@SuppressWarnings("FutureReturnValueIgnored")
final class HomeDatagramSession implements PacketStream.End {
  private static final Logger log = LoggerFactory.getLogger(HomeDatagramSession.class);

  private final String migration;
  private final Carrier carrier;
  private final Park park;
  private final Told told;
  private final Map<Integer, List<UdpSocket>> byPort = new HashMap<>();
  private final List<UdpSocket> sockets = new ArrayList<>();
  private final CompletableFuture<Void> detached = new CompletableFuture<>();
  private PacketStream stream;
  private boolean ending;
  private volatile boolean accepted;

  /** Who wants to know how it goes. */
  interface Told {
    void accepted();

    void turnedAway(String answer);
  }

  /**
   * @param park holds the sockets
   */
  HomeDatagramSession(String migration, Carrier carrier, Park park, Told told) {
    this.migration = migration;
    this.carrier = carrier;
    this.park = park;
    this.told = told;
  }

  /**
   * Asks for the stream.
   *
   * @param leg by which the host where the process is knows it
   */
  void begin(String leg) {
    carrier
        .open(
            new CarrierProtocol.Target(CarrierProtocol.Kind.DATAGRAMS, leg, "all").headers(),
            this::open)
        .addListener(
            opened -> {
              if (!opened.isSuccess()) {
                log.warn("{}: no stream for datagrams: {}", migration, "" + opened.cause());
                carrier.channel().close();
              }
            });
  }

  private void open(Http2StreamChannel channel) {
    stream = new PacketStream(channel, this);
    channel.pipeline().addLast(stream);
  }

  Carrier carrier() {
    return carrier;
  }

  /** Whether the destination has ever taken it. */
  boolean isAccepted() {
    return accepted;
  }

  /** Not before the destination has said yes: what is read is gone from the kernel's queue. */
  @Override
  public void answered(CarrierProtocol.Answer answer) {
    if (!answer.accepted()) {
      told.turnedAway(answer.toString());
      stream.close();
      carrier.channel().close();
      return;
    }
    accepted = true;
    told.accepted();
    DatagramIo io = new DatagramIo();
    for (Park.Parked parked : park.all()) {
      try {
        UdpSocket socket = new UdpSocket(parked.fd(), io);
        sockets.add(socket);
        byPort.computeIfAbsent(socket.port(), port -> new ArrayList<>()).add(socket);
        if (!ending) {
          socket.open(stream, stream.loop());
        }
      } catch (IOException e) {
        log.error("{}: datagrams of a socket are not forwarded", migration, e);
      }
    }
    if (ending) {
      stream.end();
    }
  }

  /**
   * Reads no more, and tells so; what the process has still sent is sent. To be awaited by {@link
   * #awaitDetached}.
   */
  void end() {
    carrier
        .channel()
        .eventLoop()
        .execute(
            () -> {
              if (!ending) {
                ending = true;
                sockets.forEach(UdpSocket::detach);
                if (accepted) {
                  stream.end();
                }
              }
            });
  }

  @Override
  public void packet(ByteBuf packet) {
    UdpPacket.of(packet).ifPresent(this::send);
  }

  private void send(UdpPacket packet) {
    boolean chosen = !DestinationDatagrams.isUnchosen(packet.source().getAddress());
    UdpSocket best = null;
    int fitness = -1;
    for (UdpSocket socket : byPort.getOrDefault(packet.source().getPort(), List.of())) {
      int suits = socket.fitness(packet);
      if (suits > fitness) {
        fitness = suits;
        best = socket;
      }
    }
    if (best != null) {
      best.send(packet, chosen);
    } else {
      log.debug("{}: no socket has sent {}", migration, packet);
    }
  }

  @Override
  public void writable() {
    if (!ending) {
      sockets.forEach(UdpSocket::read);
    }
  }

  /** The process is elsewhere, or will be asked for anew: nothing more of it comes over this. */
  @Override
  public void ended() {
    carrier.channel().close();
  }

  @Override
  public void lost() {
    detach();
    carrier.channel().close();
  }

  /** On the event loop. */
  void detach() {
    sockets.forEach(UdpSocket::detach);
    sockets.clear();
    byPort.clear();
    detached.complete(null);
  }

  /**
   * Waits until it touches the sockets no more.
   *
   * @return false where it still does
   */
  boolean awaitDetached(long millis) {
    try {
      detached.get(millis, TimeUnit.MILLISECONDS);
      return true;
    } catch (ExecutionException e) {
      throw new AssertionError("never", e);
    } catch (TimeoutException e) {
      log.debug("{}: datagrams are still being forwarded", migration, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return false;
  }
}
