package dev.exile.agent;

import dev.exile.rpc.peer.Row;
import dev.exile.rpc.peer.Rows;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.HashMap;
import java.util.Map;

/**
 * Sends one peer a board: all of it, then what has changed. To a slow peer it sends less often, not
 * more: what it has not taken yet is not queued.
 */
final class BoardFeed {
  private final Board board;
  private final ServerCallStreamObserver<Rows> peer;
  private final Runnable pump = this::pump;
  private Map<String, Row> sent;

  private BoardFeed(Board board, ServerCallStreamObserver<Rows> peer) {
    this.board = board;
    this.peer = peer;
  }

  /** Begins; ends with the call. To be called by the service's method itself. */
  static void start(Board board, ServerCallStreamObserver<Rows> peer) {
    BoardFeed feed = new BoardFeed(board, peer);
    peer.setOnCancelHandler(() -> board.unfollow(feed.pump));
    peer.setOnReadyHandler(feed.pump);
    board.follow(feed.pump);
    feed.pump();
  }

  private synchronized void pump() {
    if (peer.isCancelled() || !peer.isReady()) {
      return;
    }
    Map<String, Row> now = board.rows();
    Rows.Builder message = Rows.newBuilder().setAll(sent == null);
    Map<String, Row> before = sent == null ? Map.of() : sent;
    now.forEach(
        (id, row) -> {
          if (!row.equals(before.get(id))) {
            message.addRows(row);
          }
        });
    before.keySet().stream().filter(id -> !now.containsKey(id)).forEach(message::addGone);
    if (sent == null || message.getRowsCount() > 0 || message.getGoneCount() > 0) {
      sent = new HashMap<>(now);
      peer.onNext(message.build());
    }
  }
}
