package dev.exile.cli;

import dev.exile.rpc.control.CancelReply;
import dev.exile.rpc.control.CheckReply;
import dev.exile.rpc.control.ClusterRow;
import dev.exile.rpc.control.ClusterView;
import dev.exile.rpc.control.ControlGrpc;
import dev.exile.rpc.control.MigrateEvent;
import dev.exile.rpc.control.MigrateRequest;
import dev.exile.rpc.control.MigrationRef;
import dev.exile.rpc.control.Phase;
import dev.exile.rpc.control.Progress;
import dev.exile.rpc.control.Refusal;
import dev.exile.rpc.control.Report;
import dev.exile.rpc.control.Round;
import dev.exile.rpc.control.SignalCount;
import dev.exile.rpc.control.Sockets;
import dev.exile.rpc.control.WatchRequest;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;

/** Plays the agent on a real unix socket: what it answers is the test's. */
final class FakeAgent extends ControlGrpc.ControlImplBase {
  private final EventLoopGroup loop =
      new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
  private final Server server;

  volatile BiConsumer<MigrateRequest, StreamObserver<MigrateEvent>> onMigrate;
  volatile CheckReply check;
  volatile Report report;
  volatile CancelReply cancel;
  volatile List<ClusterView> views = List.of(ClusterView.getDefaultInstance());
  volatile Status failure;

  /** The migration that somebody has asked to cancel. */
  final CompletableFuture<String> cancelled = new CompletableFuture<>();

  /** Opens as the client drops the call of a migration. */
  final CountDownLatch dropped = new CountDownLatch(1);

  /** The request for the migration that came last. */
  volatile MigrateRequest request;

  FakeAgent(Path socket) throws Exception {
    server =
        NettyServerBuilder.forAddress(new DomainSocketAddress(socket.toString()))
            .bossEventLoopGroup(loop)
            .workerEventLoopGroup(loop)
            .channelType(EpollServerDomainSocketChannel.class)
            .addService(this)
            .build()
            .start();
  }

  static MigrateEvent progress(String phase, long done, long total) {
    return MigrateEvent.newBuilder()
        .setProgress(
            Progress.newBuilder()
                .setId("m1")
                .setPhase(phase)
                .setBytesDone(done)
                .setBytesTotal(total))
        .build();
  }

  static Report.Builder redis(String outcome) {
    return Report.newBuilder()
        .setId("m1")
        .setPid(123)
        .setCommand("redis-server")
        .setFrom("a")
        .setTo("b")
        .setAlgorithm("total-copy")
        .setOutcome(outcome)
        .setState("RUNNING")
        .setRole("home")
        .setFrozenMillis(210)
        .setTotalMillis(1_300)
        .setBytesTransferred(104_200_000)
        .addPhases(Phase.newBuilder().setName("freeze").setMillis(3))
        .addPhases(Phase.newBuilder().setName("transfer").setMillis(180))
        .setSockets(Sockets.newBuilder().setEstablished(51).setListening(2))
        .setStartedMillis(1_700_000_000_000L)
        .addAllWay(List.of("a", "c", "b"))
        .setHeld(40)
        .addRounds(Round.newBuilder().setBytes(4000).setPages(2).setMillis(7).setDirtyPages(1))
        .setFaults(3)
        .setDependsOnHomeMillis(-1)
        .setMissingBytes(8192)
        .addSignals(
            SignalCount.newBuilder().setNumber(15).setName("SIGTERM").setHeld(1).setForwarded(2));
  }

  /** A row of {@code exile ps}. */
  static ClusterRow.Builder row(String id, String state) {
    return ClusterRow.newBuilder()
        .setId(id)
        .setState(state)
        .setCommand("redis-server")
        .setHome("a")
        .setRunsOn("b")
        .setTo("b")
        .setPid(123)
        .setPidThere(4711)
        .setAlgorithm("total-copy")
        .setMigration("FORWARDING")
        .setEstablished(51)
        .setListening(2)
        .setSignalsHeld(1)
        .setSignalsForwarded(2)
        .setStartedMillis(1_700_000_000_000L);
  }

  static MigrateEvent result(Report.Builder report) {
    return MigrateEvent.newBuilder().setResult(report).build();
  }

  static Refusal refusal(String what, String remedy) {
    return Refusal.newBuilder().setWhat(what).setRemedy(remedy).build();
  }

  private <T> void answer(StreamObserver<T> observer, T value) {
    if (failure != null) {
      observer.onError(failure.asRuntimeException());
    } else {
      observer.onNext(value);
      observer.onCompleted();
    }
  }

  @Override
  public void migrate(MigrateRequest asked, StreamObserver<MigrateEvent> observer) {
    request = asked;
    ((ServerCallStreamObserver<MigrateEvent>) observer).setOnCancelHandler(dropped::countDown);
    if (failure != null) {
      observer.onError(failure.asRuntimeException());
    } else {
      onMigrate.accept(asked, observer);
    }
  }

  @Override
  public void check(MigrateRequest asked, StreamObserver<CheckReply> observer) {
    request = asked;
    answer(observer, check);
  }

  @Override
  public void cancel(MigrationRef ref, StreamObserver<CancelReply> observer) {
    cancelled.complete(ref.getId());
    answer(observer, cancel);
  }

  @Override
  public void show(MigrationRef ref, StreamObserver<Report> observer) {
    answer(observer, report);
  }

  @Override
  public void watch(WatchRequest asked, StreamObserver<ClusterView> observer) {
    for (ClusterView view : asked.getOnce() ? List.of(views.get(0)) : views) {
      observer.onNext(view);
    }
    observer.onCompleted();
  }

  void close() throws InterruptedException {
    server.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    loop.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
  }
}
