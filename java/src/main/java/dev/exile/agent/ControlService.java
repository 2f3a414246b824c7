package dev.exile.agent;

import dev.exile.criu.Criu;
import dev.exile.memory.Algorithm;
import dev.exile.memory.Limits;
import dev.exile.memory.Trackers;
import dev.exile.migration.Facts;
import dev.exile.migration.HomeMigration;
import dev.exile.migration.Migrations;
import dev.exile.migration.PeerLink;
import dev.exile.migration.RefusedException;
import dev.exile.negotiation.Refusal;
import dev.exile.process.ProcessTree;
import dev.exile.rpc.control.CancelReply;
import dev.exile.rpc.control.CheckReply;
import dev.exile.rpc.control.ClusterView;
import dev.exile.rpc.control.ControlGrpc;
import dev.exile.rpc.control.MigrateEvent;
import dev.exile.rpc.control.MigrateRequest;
import dev.exile.rpc.control.MigrationRef;
import dev.exile.rpc.control.Report;
import dev.exile.rpc.control.WatchRequest;
import dev.exile.rpc.peer.MoveReply;
import dev.exile.rpc.peer.MoveRequest;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the command line asks of the agent. */
final class ControlService extends ControlGrpc.ControlImplBase {
  private static final Logger LOG = LoggerFactory.getLogger(ControlService.class);

  private static final Duration ROLLBACK_PATIENCE = Duration.ofSeconds(30);

  private final AgentConfig config;
  private final Migrations migrations;
  private final Function<String, Optional<PeerLink>> peers;
  private final CriuStatus criu;
  private final Cluster cluster;

  ControlService(
      AgentConfig config,
      Migrations migrations,
      Function<String, Optional<PeerLink>> peers,
      CriuStatus criu,
      Cluster cluster) {
    this.config = config;
    this.migrations = migrations;
    this.peers = peers;
    this.criu = criu;
    this.cluster = cluster;
  }

  /** A call's work. */
  @FunctionalInterface
  private interface Work<T> {
    T get() throws IOException, RefusedException;
  }

  private <T> void answer(StreamObserver<T> observer, Work<T> work) {
    try {
      T answer = work.get();
      observer.onNext(answer);
      observer.onCompleted();
    } catch (StatusRuntimeException e) {
      observer.onError(e);
    } catch (RefusedException e) {
      observer.onError(fault(Status.FAILED_PRECONDITION, e.getMessage()));
    } catch (IOException e) {
      observer.onError(fault(Status.FAILED_PRECONDITION, e.getMessage()));
    } catch (RuntimeException e) {
      LOG.error("a request failed", e);
      observer.onError(fault(Status.INTERNAL, e.toString()));
    }
  }

  private static StatusRuntimeException fault(Status status, String line) {
    return status.withDescription(line).asRuntimeException();
  }

  @Override
  public void check(MigrateRequest request, StreamObserver<CheckReply> observer) {
    answer(
        observer,
        () -> {
          Algorithm algorithm = algorithm(request.getAlgorithm());
          CheckReply.Builder reply =
              CheckReply.newBuilder().setFrom(config.name()).setTo(request.getTo());
          List<Refusal> refusals = new ArrayList<>();
          try {
            ProcessTree tree = Targets.find(request.getTarget());
            reply.setPid(tree.root().pid()).setCommand(tree.root().command());
            refusals.addAll(
                refusals(tree, algorithm, limits(request), destination(request.getTo())));
          } catch (RefusedException e) {
            refusals.addAll(e.refusals());
          }
          return reply
              .setAccepted(refusals.isEmpty())
              .addAllRefusals(Reports.refusals(refusals))
              .build();
        });
  }

  private List<Refusal> refusals(
      ProcessTree tree, Algorithm algorithm, Limits limits, PeerLink peer) throws IOException {
    Optional<Refusal> unfit = criu.refusal();
    if (unfit.isPresent()) {
      return List.of(unfit.get());
    }
    List<Refusal> refusals = new ArrayList<>();
    try {
      migrations.refuseIfTaken(tree);
    } catch (RefusedException e) {
      refusals.addAll(e.refusals());
    }
    refusals.addAll(migrations.check(tree, algorithm, limits, peer));
    return refusals;
  }

  @Override
  public void migrate(MigrateRequest request, StreamObserver<MigrateEvent> observer) {
    ServerCallStreamObserver<MigrateEvent> stream =
        (ServerCallStreamObserver<MigrateEvent>) observer;
    MigrateStream listener = new MigrateStream(stream);
    stream.setOnCancelHandler(listener::callerGone);
    try {
      PeerLink peer = destination(request.getTo());
      Algorithm algorithm = algorithm(request.getAlgorithm());
      ProcessTree tree = Targets.find(request.getTarget());
      Optional<Refusal> unfit = criu.refusal();
      if (unfit.isPresent()) {
        throw new RefusedException(List.of(unfit.get()));
      }
      Optional<Migrations.Exiled> exiled = migrations.exiled(tree);
      if (exiled.isPresent()) {
        move(exiled.get(), peer.host(), listener);
        return;
      }
      listener.follow(migrations.migrate(tree, algorithm, limits(request), peer, listener));
    } catch (StatusRuntimeException e) {
      listener.fail(e);
    } catch (RefusedException e) {
      listener.refused(request, config.name(), e);
    } catch (RuntimeException e) {
      LOG.error("a migration could not begin", e);
      listener.fail(fault(Status.INTERNAL, e.toString()));
    }
  }

  /** Its home moves it on, whoever asks. */
  private void move(Migrations.Exiled exiled, String to, MigrateStream listener) {
    listener.phase(exiled.id(), "moving");
    try {
      MoveReply moved =
          exiled.home().equals(config.name())
              ? migrations.move(exiled.id(), to)
              : peers
                  .apply(exiled.home())
                  .orElseThrow(() -> new IOException("its home is unknown: " + exiled.home()))
                  .move(MoveRequest.newBuilder().setId(exiled.id()).setTo(to).build());
      listener.ended(Reports.of(moved));
    } catch (IOException e) {
      listener.fail(
          fault(
              Status.FAILED_PRECONDITION,
              "its home %s decides: %s".formatted(exiled.home(), e.getMessage())));
    }
  }

  @Override
  public void recall(MigrationRef request, StreamObserver<MigrateEvent> observer) {
    MigrateStream listener = new MigrateStream((ServerCallStreamObserver<MigrateEvent>) observer);
    try {
      Facts facts = find(request.getId());
      move(new Migrations.Exiled(request.getId(), facts.from), facts.from, listener);
    } catch (StatusRuntimeException e) {
      listener.fail(e);
    } catch (RuntimeException e) {
      LOG.error("a recall could not begin", e);
      listener.fail(fault(Status.INTERNAL, e.toString()));
    }
  }

  private PeerLink destination(String to) throws RefusedException {
    if (to.equals(config.name())) {
      throw new RefusedException(
          List.of(new Refusal("'" + to + "' is this host itself", "name another with --to")));
    }
    Optional<PeerLink> peer = peers.apply(to);
    if (peer.isEmpty()) {
      String known = String.join(", ", config.peers().keySet().stream().sorted().toList());
      throw new RefusedException(
          List.of(
              new Refusal(
                  "no host is called '" + to + "'",
                  "known are "
                      + known
                      + "; others go under 'peers' in the agent's configuration")));
    }
    return peer.get();
  }

  private static Algorithm algorithm(String name) {
    try {
      return Algorithm.named(name);
    } catch (IllegalArgumentException e) {
      throw fault(Status.INVALID_ARGUMENT, e.getMessage());
    }
  }

  private static Limits limits(MigrateRequest request) {
    Limits usual = Limits.DEFAULT;
    if (!request.getTracker().isEmpty() && !Trackers.isKnown(request.getTracker())) {
      throw fault(
          Status.INVALID_ARGUMENT,
          "no tracker is called '%s'; there are: %s"
              .formatted(request.getTracker(), Trackers.known()));
    }
    return new Limits(
        request.getRounds() > 0 ? request.getRounds() : usual.rounds(),
        request.getDirtyThreshold(),
        request.getMaxFreezeMillis() > 0 ? request.getMaxFreezeMillis() : usual.maxFreezeMillis(),
        request.getBytesPerSecond(),
        request.getTracker(),
        request.getStore());
  }

  @Override
  public void cancel(MigrationRef request, StreamObserver<CancelReply> observer) {
    answer(
        observer,
        () -> {
          Facts facts = find(request.getId());
          HomeMigration migration = migrations.atHome(facts.id).orElse(null);
          boolean cancelled = migration != null && migration.cancel("cancelled by the operator");
          return CancelReply.newBuilder()
              .setCancelled(cancelled)
              .setMessage(cancelled ? outcome(migration) : tooLate(facts))
              .build();
        });
  }

  /** What became of a migration that has just been cancelled. */
  private static String outcome(HomeMigration migration) {
    Facts facts = migration.facts();
    try {
      if (migration.awaitDone(ROLLBACK_PATIENCE)) {
        return "migration %s is rolled back; process %d runs on at %s"
            .formatted(facts.id, facts.pid, facts.from);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return "migration %s is being rolled back; see exile show %s".formatted(facts.id, facts.id);
  }

  private static String tooLate(Facts facts) {
    return facts.role.equals("home")
        ? "migration %s is %s: it can no longer be cancelled".formatted(facts.id, facts.state)
        : "migration %s is decided at its home; cancel it on %s".formatted(facts.id, facts.from);
  }

  @Override
  public void show(MigrationRef request, StreamObserver<Report> observer) {
    answer(
        observer,
        () ->
            Reports.of(find(request.getId())).toBuilder()
                .setHeld(migrations.atHome(request.getId()).map(HomeMigration::held).orElse(0))
                .build());
  }

  private Facts find(String id) {
    return migrations
        .find(id)
        .orElseThrow(
            () -> fault(Status.NOT_FOUND, "no migration '" + id + "' is known here; see exile ps"));
  }

  @Override
  public void watch(WatchRequest request, StreamObserver<ClusterView> observer) {
    if (request.getOnce()) {
      answer(observer, cluster::view);
    } else {
      cluster.show((ServerCallStreamObserver<ClusterView>) observer);
    }
  }

  /** Whether CRIU can work here, asked once when the agent starts. */
  record CriuStatus(Optional<Criu> criu, String problem) {
    static CriuStatus probe(java.nio.file.Path executable) {
      try {
        return new CriuStatus(Optional.of(Criu.probe(executable)), "");
      } catch (IOException e) {
        return new CriuStatus(Optional.empty(), e.getMessage());
      }
    }

    Optional<Refusal> refusal() {
      return criu.isPresent()
          ? Optional.empty()
          : Optional.of(
              new Refusal(
                  "CRIU cannot work here: " + problem,
                  "run scripts/setup, or set 'criu' in the agent's configuration, then restart the"
                      + " agent"));
    }
  }
}
