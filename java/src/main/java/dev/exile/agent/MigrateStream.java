package dev.exile.agent;

import dev.exile.migration.HomeMigration;
import dev.exile.migration.ProgressListener;
import dev.exile.migration.RefusedException;
import dev.exile.rpc.control.MigrateEvent;
import dev.exile.rpc.control.MigrateRequest;
import dev.exile.rpc.control.Progress;
import dev.exile.rpc.control.Report;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The stream of events to the command line that asked for a migration. Progress that it cannot take
 * is left out; that it has gone cancels the migration, but a stream that fails never fails one.
 */
final class MigrateStream implements ProgressListener {
  private static final Logger LOG = LoggerFactory.getLogger(MigrateStream.class);
  private static final long PROGRESS_NANOS = TimeUnit.MILLISECONDS.toNanos(50);

  private final ServerCallStreamObserver<MigrateEvent> stream;
  private HomeMigration migration;
  private String phase = "";
  private long lastBytesNanos;
  private boolean callerGone;
  private boolean closed;

  MigrateStream(ServerCallStreamObserver<MigrateEvent> stream) {
    this.stream = stream;
  }

  synchronized void follow(HomeMigration followed) {
    migration = followed;
    if (callerGone) {
      cancel();
    }
  }

  /** The command line has died or given up. */
  synchronized void callerGone() {
    callerGone = true;
    if (migration != null) {
      cancel();
    }
  }

  private void cancel() {
    if (migration.cancel("the command that asked for it has gone")) {
      LOG.info("{}: cancelled, as its command line has gone", migration.facts().id);
    }
  }

  @Override
  public synchronized void phase(String id, String name) {
    phase = name;
    send(
        MigrateEvent.newBuilder()
            .setProgress(Progress.newBuilder().setId(id).setPhase(name))
            .build());
  }

  @Override
  public synchronized void memory(String id, dev.exile.memory.Progress memory) {
    long now = System.nanoTime();
    if (now - lastBytesNanos < PROGRESS_NANOS && memory.doneBytes() < memory.totalBytes()) {
      return;
    }
    lastBytesNanos = now;
    send(
        MigrateEvent.newBuilder()
            .setProgress(
                Progress.newBuilder()
                    .setId(id)
                    .setPhase(phase)
                    .setBytesDone(memory.doneBytes())
                    .setBytesTotal(memory.totalBytes())
                    .setRound(memory.round())
                    .setDirtyBytesPerSecond(memory.dirtyBytesPerSecond())
                    .setBytesPerSecond(memory.bytesPerSecond())
                    .setEtaMillis(memory.etaMillis()))
            .build());
  }

  @Override
  public void done(HomeMigration ended) {
    end(Reports.of(ended.facts()));
  }

  @Override
  public void inDoubt(HomeMigration doubtful) {
    end(Reports.of(doubtful.facts()));
  }

  void refused(MigrateRequest request, String from, RefusedException refused) {
    Report.Builder report =
        Report.newBuilder()
            .setFrom(from)
            .setTo(request.getTo())
            .setOutcome("refused")
            .setReason(refused.getMessage())
            .addAllRefusals(Reports.refusals(refused.refusals()));
    if (request.getTarget().matches("\\d{1,9}")) {
      report.setPid(Integer.parseInt(request.getTarget()));
    }
    end(report.build());
  }

  /** A move of which this stream has only been told the end. */
  void ended(Report report) {
    end(report);
  }

  synchronized void fail(StatusRuntimeException failure) {
    closed = true;
    if (!stream.isCancelled()) {
      stream.onError(failure);
    }
  }

  private synchronized void end(Report report) {
    if (closed) {
      return; // the doubt was told, its end is for exile show
    }
    send(MigrateEvent.newBuilder().setResult(report).build());
    closed = true;
    if (!stream.isCancelled()) {
      stream.onCompleted();
    }
  }

  private void send(MigrateEvent event) {
    if (closed || stream.isCancelled()) {
      return;
    }
    try {
      stream.onNext(event);
    } catch (RuntimeException e) {
      LOG.debug("nobody hears of the progress any more: {}", e.toString());
    }
  }
}
