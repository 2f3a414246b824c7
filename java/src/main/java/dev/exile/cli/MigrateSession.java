package dev.exile.cli;

import dev.exile.rpc.control.CancelReply;
import dev.exile.rpc.control.MigrateEvent;
import dev.exile.rpc.control.MigrateRequest;
import dev.exile.rpc.control.MigrationRef;
import dev.exile.rpc.control.Report;
import io.grpc.Context;
import io.grpc.Context.CancellableContext;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * One migration as the CLI follows it. Everything that happens (the agent's events, its answer to a
 * cancel, signals) goes through one queue to the thread that called {@link #run}, so nothing here
 * needs a lock.
 *
 * <p>An interrupt asks the agent to cancel and goes on reading: only the agent knows whether the
 * process runs on at home or was past the point of no return. A second interrupt leaves at once;
 * the agent then sees the call cancelled.
 */
final class MigrateSession {
  /** How long the agent may take to end a migration that it has agreed to cancel. */
  private static final Duration CANCEL_PATIENCE = Duration.ofSeconds(40);

  private final ControlClient client;
  private final ProgressView view;
  private final BlockingQueue<Step> steps = new LinkedBlockingQueue<>();

  private String id = "";
  private boolean cancelling;
  private boolean cancelSent;

  /** {@link System#nanoTime} at which patience ends; 0 while there is no limit. */
  private long deadlineNanos;

  private Report result;
  private CliException left;

  MigrateSession(ControlClient client, ProgressView view) {
    this.client = client;
    this.view = view;
  }

  /** Something that has happened, to be handled by the session's thread. */
  @FunctionalInterface
  private interface Step {
    void handle();
  }

  /** Any thread may call this. */
  void interrupt() {
    steps.add(this::onInterrupt);
  }

  /**
   * Asks for the migration and follows it to its end.
   *
   * @return the agent's last word
   * @throws CliException if the end is not known here
   * @throws StatusRuntimeException if the agent could not begin
   */
  Report run(MigrateRequest request) throws CliException, InterruptedException {
    CancellableContext call = Context.current().withCancellation();
    try {
      call.run(
          () ->
              client
                  .async()
                  .migrate(request, observer(this::onEvent, this::onFailure, this::onEnd)));
      while (result == null && left == null) {
        Step step = next();
        if (step == null) {
          leave(
              "the agent has not ended it " + CANCEL_PATIENCE.toSeconds() + " s after the cancel");
        } else {
          step.handle();
        }
      }
    } finally {
      call.cancel(null);
    }
    if (left != null) {
      throw left;
    }
    return result;
  }

  private Step next() throws InterruptedException {
    return deadlineNanos == 0
        ? steps.take()
        : steps.poll(deadlineNanos - System.nanoTime(), TimeUnit.NANOSECONDS);
  }

  private void onEvent(MigrateEvent event) {
    switch (event.getEventCase()) {
      case PROGRESS -> {
        id = event.getProgress().getId();
        view.progress(event.getProgress());
        if (cancelling) {
          sendCancel();
        }
      }
      case RESULT -> result = event.getResult();
      case EVENT_NOT_SET -> {} // of a later version of the agent; what counts is the result
    }
  }

  private void onFailure(Throwable error) {
    Status status = Status.fromThrowable(error);
    switch (status.getCode()) {
      case UNAVAILABLE, UNKNOWN, INTERNAL, CANCELLED, DATA_LOSS ->
          leave("the agent went away (" + status.getCode() + ")");
      default -> throw new StatusRuntimeException(status); // it has not begun
    }
  }

  private void onEnd() {
    if (result == null) {
      leave("the agent ended the call without a result");
    }
  }

  private void onInterrupt() {
    if (cancelling) {
      leave("left before the agent's last word");
      return;
    }
    cancelling = true;
    deadlineNanos = System.nanoTime() + CANCEL_PATIENCE.toNanos();
    view.note("cancelling; Ctrl-C again leaves at once");
    if (!id.isEmpty()) {
      sendCancel();
    }
  }

  private void sendCancel() {
    if (cancelSent) {
      return;
    }
    cancelSent = true;
    MigrationRef ref = MigrationRef.newBuilder().setId(id).build();
    client
        .async()
        .cancel(
            ref,
            observer(
                this::onCancelReply,
                error -> view.note("cancel: " + Status.fromThrowable(error)),
                () -> {}));
  }

  private void onCancelReply(CancelReply reply) {
    if (!reply.getCancelled()) {
      deadlineNanos = 0; // past the point of no return it ends by itself
      view.note("not cancelled: " + reply.getMessage());
    }
  }

  private void leave(String why) {
    String where = id.isEmpty() ? "exile ps lists it" : "exile show " + id + " tells how it ended";
    left = new CliException(ExitCode.IN_DOUBT, "in doubt: " + why + "; " + where);
  }

  /** Hands what gRPC's threads report to the session's thread. */
  private <T> StreamObserver<T> observer(
      Consumer<T> onNext, Consumer<Throwable> onError, Step onEnd) {
    return new StreamObserver<>() {
      @Override
      public void onNext(T value) {
        steps.add(() -> onNext.accept(value));
      }

      @Override
      public void onError(Throwable error) {
        steps.add(() -> onError.accept(error));
      }

      @Override
      public void onCompleted() {
        steps.add(onEnd);
      }
    };
  }
}
