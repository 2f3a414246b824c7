package dev.exile.agent;

import dev.exile.rpc.control.ClusterView;
import dev.exile.rpc.peer.Row;
import io.grpc.stub.ServerCallStreamObserver;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArraySet;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;

/** Every process that is or was moved, on whatever host: this host's board and the others'. */
final class Cluster implements AutoCloseable {
  private final Board own;
  private final Map<String, PeerBoard> peers = new TreeMap<>();
  private final Set<Viewer> viewers = new CopyOnWriteArraySet<>();
  private final ScheduledExecutorService timer =
      Executors.newSingleThreadScheduledExecutor(
          work -> {
            Thread thread = new Thread(work, "cluster");
            thread.setDaemon(true);
            return thread;
          });

  Cluster(Board own, Collection<GrpcPeer> peers) {
    this.own = own;
    peers.forEach(peer -> this.peers.put(peer.host(), new PeerBoard(peer, timer, this::changed)));
  }

  /** Begins to listen to the others. */
  void start() {
    own.follow(this::changed);
    peers.values().forEach(PeerBoard::listen);
  }

  /** Another host has just shown that it is there: listen to it, too, and not only later. */
  void heardOf(String host) {
    PeerBoard peer = peers.get(host);
    if (peer != null) {
      peer.listen();
    }
  }

  private void changed() {
    viewers.forEach(Viewer::pump);
  }

  /** How everything stands, as far as it is known here. */
  ClusterView view() {
    List<Row> rows = new ArrayList<>(own.rows().values());
    ClusterView.Builder view = ClusterView.newBuilder();
    for (PeerBoard peer : peers.values()) {
      rows.addAll(peer.rows());
      peer.trouble().ifPresent(view::addUnreachable);
    }
    return view.addAllRows(ClusterRows.merge(rows)).build();
  }

  /** Sends views until the call ends. To be called by the service's method itself. */
  void show(ServerCallStreamObserver<ClusterView> caller) {
    Viewer viewer = new Viewer(caller);
    caller.setOnCancelHandler(() -> viewers.remove(viewer));
    caller.setOnReadyHandler(viewer::pump);
    viewers.add(viewer);
    viewer.pump();
  }

  private final class Viewer {
    private final ServerCallStreamObserver<ClusterView> caller;
    private ClusterView shown;
    private boolean over;

    Viewer(ServerCallStreamObserver<ClusterView> caller) {
      this.caller = caller;
    }

    synchronized void pump() {
      if (over || caller.isCancelled() || !caller.isReady()) {
        return;
      }
      ClusterView now = view();
      if (!now.equals(shown)) {
        shown = now;
        caller.onNext(now);
      }
    }

    synchronized void end() {
      over = true;
      if (!caller.isCancelled()) {
        caller.onCompleted();
      }
    }
  }

  /** Ends what is being shown; nobody is listened to any more. */
  @Override
  public void close() {
    timer.shutdownNow();
    viewers.forEach(Viewer::end);
  }
}
