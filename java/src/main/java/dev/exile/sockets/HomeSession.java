package dev.exile.sockets;

import dev.exile.linux.Inet;
import dev.exile.linux.SocketAddressBytes;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.IoEventLoop;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a {@link HomeRelay} does over one carrier: a stream for each parked connection, then the
 * word that these are all. It ends with its carrier, and leaves all connections parked as they are.
 *
 * <p>All methods run on the carrier's event loop.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class HomeSession implements Splice.Owner {
  private static final Logger log = LoggerFactory.getLogger(HomeSession.class);

  private static final long TELL_SECONDS = 1;

  private final HomeRelay relay;
  private final String migration;
  private final Carrier carrier;

  /** Rises from each carrier to the next, also over restarts of the agent: since boot. */
  private final long number = System.nanoTime();

  private final Map<String, Joined> joined = new HashMap<>();
  private boolean turnedAway;

  /** A connection with its stream. */
  private record Joined(Park.Parked parked, Offsets at, boolean fresh, Splice splice) {}

  HomeSession(HomeRelay relay, String migration, Carrier carrier) {
    this.relay = relay;
    this.migration = migration;
    this.carrier = carrier;
  }

  IoEventLoop loop() {
    return (IoEventLoop) carrier.channel().eventLoop();
  }

  Carrier carrier() {
    return carrier;
  }

  /** Opens a stream for each, and says that these are all. */
  void open(List<Park.Parked> connections, Set<String> fresh) {
    for (Park.Parked connection : connections) {
      add(connection, fresh.contains(connection.name()));
    }
    Http2Headers sync =
        new CarrierProtocol.Target(CarrierProtocol.Kind.SYNC, migration, "all").headers();
    carrier.open(
        CarrierProtocol.setSession(sync, number),
        stream -> stream.pipeline().addLast(new ChannelInboundHandlerAdapter()));
  }

  /**
   * Opens a stream for a connection, which may have one already.
   *
   * @param fresh whether it has never had one: home need not wait for the destination's word
   */
  void add(Park.Parked parked, boolean fresh) {
    if (joined.containsKey(parked.name()) || !carrier.isOpen()) {
      return;
    }
    try {
      Offsets at = Offsets.of(parked);
      carrier
          .open(request(parked, at, fresh), stream -> join(stream, parked, at, fresh))
          .addListener(
              opened -> {
                if (!opened.isSuccess()) {
                  log.warn("{}: no stream for {}: {}", migration, parked.name(), opened.cause());
                  carrier.channel().close(); // the next carrier may do better
                }
              });
    } catch (IOException e) {
      log.error("{}: connection {} is reset: {}", migration, parked.name(), e.getMessage());
      Splice.end(parked);
      relay.wasReset(parked.name());
      relay.forget(parked.name());
    }
  }

  private Http2Headers request(Park.Parked parked, Offsets at, boolean fresh) throws IOException {
    Http2Headers headers =
        new CarrierProtocol.Target(CarrierProtocol.Kind.RELAY, migration, parked.name()).headers();
    new CarrierProtocol.Opening(
            inet(Inet.peerAddress(parked.fd())),
            inet(Inet.localAddress(parked.fd())),
            ParkNote.parse(parked.note()).listener(),
            at.consumed(),
            at.position(),
            fresh,
            number)
        .addTo(headers);
    return headers;
  }

  private static InetSocketAddress inet(SocketAddressBytes address) {
    return address == null ? null : address.toInet();
  }

  private void join(Http2StreamChannel stream, Park.Parked parked, Offsets at, boolean fresh) {
    Splice splice =
        new Splice(stream, parked.name(), relay.counters(), relay.felt(parked.name()), this);
    joined.put(parked.name(), new Joined(parked, at, fresh, splice));
    stream.pipeline().addLast(new SpliceStreamHandler(splice));
    // Once the request has been sent.
    stream.eventLoop().execute(() -> begin(splice, parked, at, fresh));
  }

  private static void begin(Splice splice, Park.Parked parked, Offsets at, boolean fresh) {
    if (splice.isDone()) {
      return;
    }
    splice.take(parked, at);
    if (fresh) {
      splice.open(at);
    } else {
      splice.listen();
    }
  }

  @Override
  public void answered(Splice splice, CarrierProtocol.Answer answer) {
    Joined connection = joined.get(splice.name());
    if (answer.isFinal()) {
      refused(connection, answer);
    } else if (!answer.accepted()) {
      turnedAway(answer);
    } else if (!connection.fresh() && splice.resume(answer.received(), connection.at())) {
      splice.open(connection.at());
    }
  }

  /** Nothing is wrong with the connections: they wait for a carrier over which they are taken. */
  private void turnedAway(CarrierProtocol.Answer answer) {
    if (!turnedAway) {
      turnedAway = true;
      relay.turnedAway(answer.toString());
      carrier.channel().close();
    }
  }

  /** Since it began. */
  long ageMillis() {
    return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - number);
  }

  /** Whether the destination's agent has taken none of them. */
  boolean wasTurnedAway() {
    return turnedAway;
  }

  private void refused(Joined connection, CarrierProtocol.Answer answer) {
    if (!connection.at().over()) {
      log.warn("{}: refused by the destination, is reset: {}", connection.splice().name(), answer);
      relay.wasReset(connection.splice().name());
    }
    connection.splice().detach();
    Splice.end(connection.parked());
    over(connection.splice());
  }

  @Override
  public void over(Splice splice) {
    splice.detach();
    forget(splice);
  }

  /** In this order: what the destination has forgotten must never be asked for again. */
  private CompletableFuture<Void> forget(Splice splice) {
    joined.remove(splice.name());
    return relay
        .forget(splice.name())
        .thenRunAsync(() -> splice.stream().writeAndFlush(RelayFrames.over()), loop());
  }

  @Override
  public void lost(Splice splice) {
    joined.remove(splice.name());
    carrier.channel().close(); // if it is not that already: all go on over another one
  }

  /** Ends all connections, whatever is under way, and the carrier. Not on the event loop. */
  void close() {
    List<CompletableFuture<Void>> told = new ArrayList<>();
    loop().submit(() -> end(told)).syncUninterruptibly();
    CompletableFuture<Void> all = CompletableFuture.allOf(told.toArray(CompletableFuture[]::new));
    try {
      all.get(TELL_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      log.debug("{}: the destination will see by itself: {}", migration, e.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    carrier.close();
  }

  private void end(List<CompletableFuture<Void>> told) {
    for (Joined connection : List.copyOf(joined.values())) {
      connection.splice().detach();
      Splice.end(connection.parked());
      told.add(forget(connection.splice()));
    }
  }

  /** Lets go of all connections. */
  void detach() {
    joined.values().forEach(connection -> connection.splice().detach());
    joined.clear();
  }
}
