package dev.exile.agent;

import dev.exile.rpc.control.Unreachable;
import dev.exile.rpc.peer.Row;
import dev.exile.rpc.peer.Rows;
import io.grpc.Status;
import io.grpc.stub.StreamObserver;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Another host's board, as that host keeps telling it. Where it does not answer it is tried again,
 * ever more seldom; what it has told last is kept.
 */
final class PeerBoard {
  private static final Logger LOG = LoggerFactory.getLogger(PeerBoard.class);
  private static final long FIRST_RETRY_MILLIS = 500;
  private static final long LAST_RETRY_MILLIS = 8_000;

  private final GrpcPeer peer;
  private final ScheduledExecutorService timer;
  private final Runnable changed;
  private final Map<String, Row> rows = new TreeMap<>();

  /** What is wrong, empty while the host tells. */
  private String trouble = "not heard of yet";

  private long sinceMillis = System.currentTimeMillis();
  private long retryMillis = FIRST_RETRY_MILLIS;

  /** Whether a call is under way. */
  private boolean calling;

  /** The next try, null where none is due. */
  private Future<?> retry;

  PeerBoard(GrpcPeer peer, ScheduledExecutorService timer, Runnable changed) {
    this.peer = peer;
    this.timer = timer;
    this.changed = changed;
  }

  /** Listens, where it does not yet. */
  void listen() {
    synchronized (this) {
      if (calling) {
        return;
      }
      calling = true;
      if (retry != null) {
        retry.cancel(false);
      }
    }
    peer.watch(
        new StreamObserver<>() {
          @Override
          public void onNext(Rows told) {
            take(told);
          }

          @Override
          public void onError(Throwable error) {
            lost(GrpcPeer.describe(Status.fromThrowable(error)));
          }

          @Override
          public void onCompleted() {
            lost("its agent is being stopped");
          }
        });
  }

  private void take(Rows told) {
    synchronized (this) {
      if (!trouble.isEmpty()) {
        LOG.debug("{} tells of its processes", peer.host());
        trouble = "";
        retryMillis = FIRST_RETRY_MILLIS;
      }
      if (told.getAll()) {
        rows.clear();
      }
      told.getRowsList().forEach(row -> rows.put(row.getId(), row));
      told.getGoneList().forEach(rows::remove);
    }
    changed.run();
  }

  private void lost(String why) {
    long pause;
    boolean news;
    synchronized (this) {
      calling = false;
      pause = retryMillis;
      retryMillis = Math.min(2 * retryMillis, LAST_RETRY_MILLIS);
      news = !why.equals(trouble);
      if (trouble.isEmpty()) {
        sinceMillis = System.currentTimeMillis();
      }
      trouble = why;
    }
    if (news) {
      LOG.debug("{} does not tell of its processes: {}", peer.host(), why);
      changed.run();
    }
    tryAgain(pause);
  }

  private synchronized void tryAgain(long millis) {
    try {
      retry = timer.schedule(this::listen, millis, TimeUnit.MILLISECONDS);
    } catch (RejectedExecutionException e) {
      LOG.debug("{} is not tried again: this agent is being stopped", peer.host());
    }
  }

  /** What it has told, lately or last. */
  synchronized Collection<Row> rows() {
    return List.copyOf(rows.values());
  }

  /** Says since when it does not tell, and why; empty while it does. */
  synchronized Optional<Unreachable> trouble() {
    return trouble.isEmpty()
        ? Optional.empty()
        : Optional.of(
            Unreachable.newBuilder()
                .setHost(peer.host())
                .setSinceMillis(sinceMillis)
                .setReason(trouble)
                .build());
  }
}
