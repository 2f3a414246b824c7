package dev.exile.keys;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.rpc.peer.MigrationId;
import dev.exile.rpc.peer.PeerGrpc;
import dev.exile.rpc.peer.Standing;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollSocketChannel;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLPeerUnverifiedException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** The same contexts and names as seen through gRPC. */
class GrpcOverTlsTest {
  private static final Context.Key<String> PEER = Context.key("peer");

  @RegisterExtension
  private final WarningsExtension warnings = new WarningsExtension("dev.exile.keys");

  @TempDir private Path ca;
  private final EventLoopGroup loop =
      new MultiThreadIoEventLoopGroup(2, EpollIoHandler.newFactory());
  private Server server;

  @BeforeEach
  void serve() throws Exception {
    CertificateAuthority.init(ca);
    server =
        NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
            .bossEventLoopGroup(loop)
            .workerEventLoopGroup(loop)
            .channelFactory(GuardedListener::open)
            .sslContext(identity("a").server(Set.of("b")))
            .intercept(new NameOfPeer())
            .addService(new Echo())
            .build()
            .start();
  }

  @AfterEach
  void stop() throws InterruptedException {
    server.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    loop.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
  }

  private Identity identity(String host) throws KeysException {
    return Identity.load(CertificateAuthority.issue(ca, host, List.of("10.9.9.9"), false));
  }

  private String ask(String from, String expected) throws Exception {
    ManagedChannel channel =
        NettyChannelBuilder.forAddress(server.getListenSockets().get(0))
            .eventLoopGroup(loop)
            .channelType(EpollSocketChannel.class)
            .overrideAuthority(expected)
            .sslContext(identity(from).client(expected))
            .build();
    try {
      return PeerGrpc.newBlockingStub(channel)
          .withDeadlineAfter(10, TimeUnit.SECONDS)
          .ask(MigrationId.getDefaultInstance())
          .getState();
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  @Test
  void aServiceLearnsTheNameInTheCallersCertificate() throws Exception {
    assertEquals("you are b", ask("b", "a"));
    assertEquals(List.of(), warnings.lines());
  }

  @Test
  void anUnknownHostIsRefusedAndLoggedWithItsAddress() {
    assertThrows(StatusRuntimeException.class, () -> ask("mallory", "a"));

    assertEquals(1, warnings.lines().size(), warnings.lines().toString());
    String line = warnings.lines().get(0);
    assertTrue(line.contains("CN=mallory") && line.contains("/127.0.0.1:"), line);
  }

  @Test
  void aServerWithAnotherNameThanExpectedIsRefused() {
    StatusRuntimeException e = assertThrows(StatusRuntimeException.class, () -> ask("b", "c"));

    assertEquals(Status.Code.UNAVAILABLE, e.getStatus().getCode());
  }

  private static final class NameOfPeer implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      try {
        String name = PeerNames.of(call.getAttributes().get(Grpc.TRANSPORT_ATTR_SSL_SESSION));
        return Contexts.interceptCall(Context.current().withValue(PEER, name), call, headers, next);
      } catch (SSLPeerUnverifiedException e) {
        call.close(Status.UNAUTHENTICATED, new Metadata());
        return new ServerCall.Listener<>() {};
      }
    }
  }

  private static final class Echo extends PeerGrpc.PeerImplBase {
    @Override
    public void ask(MigrationId request, StreamObserver<Standing> observer) {
      observer.onNext(Standing.newBuilder().setState("you are " + PEER.get()).build());
      observer.onCompleted();
    }
  }
}
