package dev.exile.sockets;

import dev.exile.linux.Epoll;
import dev.exile.linux.Inet;
import dev.exile.linux.SocketAddressBytes;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Finds out what the clients feel of a move: when something comes for a held socket in exile, which
 * epoll tells without reading it, and how old what is accepted after it is. Where this fails, the
 * figures are missing, and nothing else. Thread-safe.
 */
final class FeltWatch {
  private static final Logger LOG = LoggerFactory.getLogger(FeltWatch.class);
  private static final int SLICE_MILLIS = 20;
  private static final long MILLI = 1_000_000;

  /** What has not been answered for longer will hardly be. */
  private static final long OWED_MILLIS = 1_000;

  /** After the resume all that came in exile has been accepted by then. */
  private static final long BACKLOG_NANOS = 10_000 * MILLI;

  private final Map<String, FeltConnection> connections = new ConcurrentHashMap<>();
  private final List<FeltConnection> watched = new ArrayList<>();
  private Epoll epoll;
  private long frozenNanos;

  /** 0 before. */
  private volatile long resumedNanos;

  private volatile boolean over;

  /** A connection of the frozen process, of which this much is unread. */
  synchronized void held(String name, int fd, long unread) {
    try {
      long now = System.nanoTime();
      if (epoll == null) {
        frozenNanos = now;
        epoll = new Epoll();
        Thread thread = new Thread(this::watch, "felt");
        thread.setDaemon(true);
        thread.start();
      }
      FeltConnection connection = new FeltConnection(client(fd));
      connections.put(name, connection);
      Inet.Ages ages = Inet.ages(fd);
      if (unread > 0) {
        connection.arrived(Math.max(frozenNanos, now - ages.receivedMillis() * MILLI));
      } else if (ages.receivedMillis() < ages.sentMillis() && ages.receivedMillis() < OWED_MILLIS) {
        connection.arrived(frozenNanos); // the client was the last to speak, and just now
      } else {
        watched.add(connection);
        epoll.add(fd, watched.size() - 1);
      }
    } catch (IOException e) {
      LOG.warn("what the client of {} feels is not known: {}", name, e.getMessage());
    }
  }

  /** The same of one that is relayed, as the process is about to move on. */
  void held(Park.Parked parked) {
    try {
      held(parked.name(), parked.fd(), SocketProgress.of(parked.fd()).unread());
    } catch (IOException e) {
      LOG.debug("what the client of {} feels is not known: {}", parked.name(), e.getMessage());
    }
  }

  private static String client(int fd) throws IOException {
    SocketAddressBytes peer = Inet.peerAddress(fd);
    return peer == null ? "" : peer.toString();
  }

  private void watch() {
    try (Epoll set = epoll) {
      while (!over) {
        set.await(SLICE_MILLIS, this::arrived);
      }
    } catch (IOException e) {
      LOG.warn("what clients feel is not known: {}", e.getMessage());
    }
  }

  private void arrived(int number) {
    long now = System.nanoTime();
    FeltConnection connection;
    synchronized (this) {
      connection = watched.get(number);
    }
    connection.arrived(now);
  }

  /** The process runs again: what comes from now on does not wait. */
  void resumed() {
    resumedNanos = System.nanoTime();
    over = true;
  }

  /** It is over, or was in vain. */
  void end() {
    over = true;
  }

  /**
   * A connection that was accepted after the resume, and may have been made in exile; or, where the
   * process only moves on, in exile.
   */
  void accepted(String name, int fd) {
    long now = System.nanoTime();
    long resumed = resumedNanos;
    if (resumed != 0 && now - resumed > BACKLOG_NANOS) {
      return;
    }
    try {
      // Of one that has sent nothing the kernel counts from its beginning.
      long came = now - Inet.ages(fd).receivedMillis() * MILLI;
      if (resumed == 0 || came < resumed) {
        FeltConnection connection = new FeltConnection(client(fd));
        connection.arrived(came);
        connections.put(name, connection);
      }
    } catch (IOException e) {
      LOG.debug("what the client of {} felt is not known: {}", name, e.getMessage());
    }
  }

  /** The connection of that name, or null where it came after the move. */
  FeltConnection get(String name) {
    return connections.get(name);
  }

  /**
   * The connection of that name is reset before it was relayed; it may have come after the move.
   */
  void wasReset(String name) {
    FeltConnection connection = connections.get(name);
    if (connection != null) {
      connection.wasReset(System.nanoTime());
    }
  }

  /** The connection of that name is over; it may have come after the move. */
  void ended(String name) {
    FeltConnection connection = connections.get(name);
    if (connection != null) {
      connection.ended(System.nanoTime());
    }
  }

  /** How it stands. */
  Felt felt() {
    return Felt.of(connections.values(), System.nanoTime());
  }
}
