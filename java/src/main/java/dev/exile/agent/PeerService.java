package dev.exile.agent;

import dev.exile.keys.PeerNames;
import dev.exile.linux.Userfault;
import dev.exile.migration.Migrations;
import dev.exile.migration.PeerLink;
import dev.exile.negotiation.Admission;
import dev.exile.negotiation.Refusal;
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
import dev.exile.rpc.peer.Reason;
import dev.exile.rpc.peer.RestoreReply;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.Rows;
import dev.exile.rpc.peer.SignalBatch;
import dev.exile.rpc.peer.SignalReceipt;
import dev.exile.rpc.peer.Standing;
import dev.exile.rpc.peer.WatchRequest;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What other agents ask of this one. Who asks is told by the certificate alone. */
final class PeerService extends PeerGrpc.PeerImplBase {
  private static final Logger LOG = LoggerFactory.getLogger(PeerService.class);
  private static final Context.Key<String> CALLER = Context.key("caller");

  private final Migrations migrations;
  private final Function<String, Optional<PeerLink>> peers;
  private final ControlService.CriuStatus criu;
  private final Board board;
  private final Cluster cluster;

  PeerService(
      Migrations migrations,
      Function<String, Optional<PeerLink>> peers,
      ControlService.CriuStatus criu,
      Board board,
      Cluster cluster) {
    this.migrations = migrations;
    this.peers = peers;
    this.criu = criu;
    this.board = board;
    this.cluster = cluster;
  }

  /** Puts the caller's verified host name into the context of its call. */
  static ServerInterceptor callerInterceptor() {
    return new ServerInterceptor() {
      @Override
      public <Q, R> ServerCall.Listener<Q> interceptCall(
          ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
        SSLSession session = call.getAttributes().get(Grpc.TRANSPORT_ATTR_SSL_SESSION);
        try {
          if (session == null) {
            throw new SSLPeerUnverifiedException("no TLS");
          }
          return Contexts.interceptCall(
              Context.current().withValue(CALLER, PeerNames.of(session)), call, headers, next);
        } catch (SSLPeerUnverifiedException e) {
          LOG.warn(
              "refused a call from {}: {}",
              call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR),
              e.getMessage());
          call.close(Status.UNAUTHENTICATED.withDescription(e.getMessage()), new Metadata());
          return new ServerCall.Listener<>() {};
        }
      }
    };
  }

  /** A call's work. */
  @FunctionalInterface
  private interface Work<T> {
    T of(String caller) throws IOException, InterruptedException;
  }

  private static <T> void answer(StreamObserver<T> observer, Work<T> work) {
    T answer;
    try {
      answer = work.of(CALLER.get());
    } catch (IOException e) {
      observer.onError(
          Status.FAILED_PRECONDITION.withDescription(e.getMessage()).asRuntimeException());
      return;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      observer.onError(
          Status.UNAVAILABLE.withDescription("the agent is being stopped").asRuntimeException());
      return;
    } catch (RuntimeException e) {
      LOG.error("a call from {} failed", CALLER.get(), e);
      observer.onError(Status.INTERNAL.withDescription(e.toString()).asRuntimeException());
      return;
    }
    observer.onNext(answer);
    observer.onCompleted();
  }

  private static Standing standing(String state) {
    return Standing.newBuilder().setState(state == null ? PeerLink.UNKNOWN : state).build();
  }

  @Override
  public void negotiate(Offer offer, StreamObserver<Answer> observer) {
    answer(
        observer,
        caller -> {
          Admission.Verdict verdict = migrations.judge(offer);
          List<Refusal> refusals = new ArrayList<>(verdict.refusals());
          criu.refusal().ifPresent(refusals::add);
          if (refusals.isEmpty() && !offer.getDryRun()) {
            PeerLink home =
                peers.apply(caller).orElseThrow(() -> new IOException("unknown host " + caller));
            migrations.accept(offer, home);
          }
          Answer.Builder answer =
              Answer.newBuilder()
                  .addAllStreamed(verdict.streamed())
                  .setPagesOnDemand(Userfault.isAvailable());
          refusals.forEach(
              refusal ->
                  answer.addRefusals(
                      Reason.newBuilder().setWhat(refusal.what()).setRemedy(refusal.remedy())));
          return answer.build();
        });
  }

  @Override
  public void restore(RestoreRequest request, StreamObserver<RestoreReply> observer) {
    answer(
        observer,
        caller -> {
          try {
            long connecting = migrations.restore(request, caller);
            return RestoreReply.newBuilder()
                .setRestored(true)
                .setReconnectMicros(connecting)
                .build();
          } catch (IOException e) {
            String error = e.getMessage() == null ? e.toString() : e.getMessage();
            return RestoreReply.newBuilder().setError(error).build();
          }
        });
  }

  @Override
  public void commit(MigrationId request, StreamObserver<Standing> observer) {
    answer(observer, caller -> standing(migrations.commit(request.getId(), caller)));
  }

  @Override
  public void abort(MigrationId request, StreamObserver<Standing> observer) {
    answer(observer, caller -> standing(migrations.abort(request.getId(), caller)));
  }

  @Override
  public void ask(MigrationId request, StreamObserver<Standing> observer) {
    answer(observer, caller -> standing(migrations.standingAtHome(request.getId())));
  }

  @Override
  public void ended(EndedNotice notice, StreamObserver<Standing> observer) {
    answer(
        observer,
        caller -> standing(migrations.ended(notice.getId(), notice.getWaitStatus(), caller)));
  }

  @Override
  public void deliver(SignalBatch batch, StreamObserver<SignalReceipt> observer) {
    answer(observer, caller -> migrations.deliver(batch, caller));
  }

  @Override
  public void observe(Observation seen, StreamObserver<Standing> observer) {
    answer(observer, caller -> standing(migrations.observe(seen, caller)));
  }

  @Override
  public void move(MoveRequest request, StreamObserver<MoveReply> observer) {
    answer(observer, caller -> migrations.move(request.getId(), request.getTo()));
  }

  @Override
  public void look(Departure departure, StreamObserver<Found> observer) {
    answer(observer, caller -> migrations.look(departure, caller));
  }

  @Override
  public void depart(Departure departure, StreamObserver<RestoreRequest> observer) {
    answer(observer, caller -> migrations.depart(departure, caller));
  }

  @Override
  public void hold(Departure departure, StreamObserver<Standing> observer) {
    answer(observer, caller -> standing(migrations.hold(departure, caller)));
  }

  @Override
  public void stay(Departure departure, StreamObserver<Standing> observer) {
    answer(observer, caller -> standing(migrations.stay(departure, caller)));
  }

  @Override
  public void leave(Departure departure, StreamObserver<Standing> observer) {
    answer(observer, caller -> standing(migrations.leave(departure, caller)));
  }

  @Override
  public void watch(WatchRequest request, StreamObserver<Rows> observer) {
    BoardFeed.start(board, (ServerCallStreamObserver<Rows>) observer);
    cluster.heardOf(CALLER.get());
  }
}
