package dev.exile.agent;

import dev.exile.migration.PeerLink;
import dev.exile.rpc.peer.Answer;
import dev.exile.rpc.peer.Departure;
import dev.exile.rpc.peer.EndedNotice;
import dev.exile.rpc.peer.Found;
import dev.exile.rpc.peer.MigrationId;
import dev.exile.rpc.peer.MoveReply;
import dev.exile.rpc.peer.MoveRequest;
import dev.exile.rpc.peer.Observation;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.PeerGrpc;
import dev.exile.rpc.peer.RestoreReply;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.Rows;
import dev.exile.rpc.peer.SignalBatch;
import dev.exile.rpc.peer.SignalReceipt;
import dev.exile.rpc.peer.WatchRequest;
import dev.exile.sockets.Carrier;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.handler.ssl.SslContext;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Another agent, reached over gRPC and carriers. */
final class GrpcPeer implements PeerLink, AutoCloseable {
  private static final Duration NEGOTIATION = Duration.ofSeconds(30);
  private static final Duration RESTORING = Duration.ofSeconds(150);
  private static final Duration MOVING = Duration.ofSeconds(330);
  private static final Duration DECISION = Duration.ofSeconds(5);
  private static final Duration DELIVERY = Duration.ofSeconds(30);
  private static final Duration CARRIER = Duration.ofSeconds(10);

  /**
   * How Netty's native transport words a failure: CALL(..) failed with error(-N): WHY: /ADDRESS.
   */
  private static final Pattern NATIVE_FAILURE =
      Pattern.compile("\\w+\\(\\.\\.\\) failed with error\\(-\\d+\\): (.*?)(?:: /\\S+)?");

  private static final long KEEPALIVE_SECONDS = 5;

  private final String host;
  private final HostPort address;
  private final SslContext tls;
  private final EventLoopGroup loops;
  private final ManagedChannel channel;

  GrpcPeer(String host, HostPort address, SslContext tls, EventLoopGroup loops) {
    this.host = host;
    this.address = address;
    this.tls = tls;
    this.loops = loops;
    this.channel =
        NettyChannelBuilder.forAddress(address.control())
            .sslContext(tls)
            .overrideAuthority(host) // PeerTrust checks the name; an address is none
            .eventLoopGroup(loops)
            .channelType(EpollSocketChannel.class)
            .keepAliveTime(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEPALIVE_SECONDS, TimeUnit.SECONDS)
            .build();
  }

  @Override
  public String host() {
    return host;
  }

  @Override
  public Answer negotiate(Offer offer) throws IOException {
    return call(NEGOTIATION, stub -> stub.negotiate(offer));
  }

  @Override
  public RestoreReply restore(RestoreRequest request) throws IOException {
    return call(RESTORING, stub -> stub.restore(request));
  }

  @Override
  public String commit(String id) throws IOException {
    return call(DECISION, stub -> stub.commit(ref(id))).getState();
  }

  @Override
  public String abort(String id) throws IOException {
    return call(DECISION, stub -> stub.abort(ref(id))).getState();
  }

  @Override
  public String ask(String id, Duration patience) throws IOException {
    return call(patience, stub -> stub.ask(ref(id))).getState();
  }

  @Override
  public String ended(EndedNotice notice) throws IOException {
    return call(DECISION, stub -> stub.ended(notice)).getState();
  }

  @Override
  public SignalReceipt deliver(SignalBatch batch) throws IOException {
    return call(DELIVERY, stub -> stub.deliver(batch));
  }

  @Override
  public String observe(Observation seen) throws IOException {
    return call(DECISION, stub -> stub.observe(seen)).getState();
  }

  @Override
  public MoveReply move(MoveRequest request) throws IOException {
    return call(MOVING, stub -> stub.move(request));
  }

  @Override
  public Found look(Departure departure) throws IOException {
    return call(NEGOTIATION, stub -> stub.look(departure));
  }

  @Override
  public RestoreRequest depart(Departure departure) throws IOException {
    return call(RESTORING, stub -> stub.depart(departure));
  }

  @Override
  public String hold(Departure departure) throws IOException {
    return call(DECISION, stub -> stub.hold(departure)).getState();
  }

  @Override
  public String stay(Departure departure) throws IOException {
    return call(DECISION, stub -> stub.stay(departure)).getState();
  }

  @Override
  public String leave(Departure departure) throws IOException {
    return call(DECISION, stub -> stub.leave(departure)).getState();
  }

  /** Asks for its board, see {@link PeerBoard}; the observer hears of every end, this one's too. */
  void watch(StreamObserver<Rows> observer) {
    channel.resetConnectBackoff(); // when to try again is the caller's to say
    PeerGrpc.newStub(channel).watch(WatchRequest.getDefaultInstance(), observer);
  }

  @Override
  public Carrier carrier() throws IOException {
    return Carrier.connect(address.carrier(), host, tls, loops, CARRIER);
  }

  private static MigrationId ref(String id) {
    return MigrationId.newBuilder().setId(id).build();
  }

  /** Sorts every failure into an answer that says no, or a lost one. */
  private <T> T call(Duration limit, Function<PeerGrpc.PeerBlockingStub, T> call)
      throws IOException {
    if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      channel.resetConnectBackoff(); // an old failure says nothing about now
    }
    try {
      return call.apply(
          PeerGrpc.newBlockingStub(channel)
              .withDeadlineAfter(limit.toMillis(), TimeUnit.MILLISECONDS));
    } catch (StatusRuntimeException e) {
      Status status = e.getStatus();
      String said = describe(status);
      switch (status.getCode()) {
        case FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, UNIMPLEMENTED ->
            throw new Refused(host + ": " + said);
        default -> {
          // The next call is to try at once, not when gRPC's backoff allows it.
          channel.resetConnectBackoff();
          throw new Lost("%s at %s: %s".formatted(host, address, said), e);
        }
      }
    }
  }

  /** What went wrong, in words for an operator. */
  static String describe(Status status) {
    if (status.getDescription() == null) {
      return status.getCode().name();
    }
    Throwable cause = status.getCause();
    if (cause == null || cause.getMessage() == null) {
      return status.getDescription();
    }
    Matcher failure = NATIVE_FAILURE.matcher(cause.getMessage());
    return failure.matches()
        ? failure.group(1)
        : status.getDescription() + " (" + cause.getMessage() + ")";
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }
}
