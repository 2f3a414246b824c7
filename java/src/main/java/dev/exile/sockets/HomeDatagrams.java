package dev.exile.sockets;

import dev.exile.linux.Errno;
import dev.exile.linux.Udp;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's half of what becomes of UDP sockets: the real ones stay here, parked, and after COMMIT
 * their datagrams pass over a stream of a carrier of their own.
 *
 * <p>Nothing is read before {@link #start}: the kernel's queue holds what waited at the freeze and
 * what comes in exile. While there is no carrier it does so again. Thread-safe.
 */
public final class HomeDatagrams {
  private static final Logger log = LoggerFactory.getLogger(HomeDatagrams.class);
  private static final long PARK_SECONDS = 10;
  private static final long END_MILLIS = 2_000;
  private static final long RETRY_MILLIS = 200;
  private static final long TURNED_AWAY_MILLIS = 1_000;

  private final String migration;
  private final Park park;
  private HomeRelay.Connector connector;

  /** By which the host where the process is knows it. */
  private String leg;

  private Carrier first;
  private HomeDatagramSession session;

  /** One before a leg, whose last datagrams may still come; or null. */
  private HomeDatagramSession former;

  private boolean running;
  private boolean over;

  /** Rises as a leg begins, and as it ends: no attempt to connect outlives that. */
  private int round;

  /** Sockets whose addresses may be had by others meanwhile. */
  private final List<Integer> shared = new ArrayList<>();

  /**
   * What the destination's agent last said as it took no datagrams; null before, and once it does.
   */
  private String turnedAway;

  /**
   * @param leg by which the host where the process is knows it
   * @param park holds the sockets; belongs to this object from now on
   * @param connector connects to that host
   */
  public HomeDatagrams(String migration, String leg, Park park, HomeRelay.Connector connector) {
    this.migration = migration;
    this.leg = leg;
    this.park = park;
    this.connector = connector;
  }

  /**
   * Takes sockets over, whose duplicates belong to this object from now on, and opens a carrier for
   * them. Returns once they outlive this agent.
   */
  public void adopt(List<TakenDatagrams> sockets) throws IOException {
    List<CompletableFuture<Void>> held = new ArrayList<>();
    for (TakenDatagrams socket : sockets) {
      held.add(park.hold(socket.name(), socket.duplicate(), new ParkNote(0, 0, null)));
    }
    Carrier carrier = connector.connect();
    synchronized (this) {
      first = carrier;
    }
    try {
      CompletableFuture.allOf(held.toArray(CompletableFuture[]::new))
          .get(PARK_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new IOException(e.getCause().getMessage(), e);
    } catch (TimeoutException e) {
      throw new IOException("not all UDP sockets of the process could be parked", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while UDP sockets were parked", e);
    }
  }

  /** Fails where the carrier is lost. */
  public synchronized void check() throws IOException {
    if (first == null || !first.isOpen()) {
      throw new IOException("the carrier for datagrams is lost");
    }
  }

  /** The process runs at the destination: reading may begin. */
  public void start() {
    Carrier open;
    int now;
    synchronized (this) {
      running = true;
      open = first;
      now = round;
    }
    if (open != null && open.isOpen()) {
      begin(open, now);
    } else {
      reconnect(0, now);
    }
  }

  private void begin(Carrier carrier, int of) {
    HomeDatagramSession next = new HomeDatagramSession(migration, carrier, park, new Told());
    String name;
    synchronized (this) {
      if (over || of != round) {
        carrier.close();
        return;
      }
      session = next;
      name = leg;
    }
    next.begin(name);
    carrier.onClosed(() -> lost(next, of));
  }

  private void lost(HomeDatagramSession last, int of) {
    last.detach();
    synchronized (this) {
      if (session == last) {
        session = null;
      }
      if (over || of != round) {
        return;
      }
    }
    if (last.isAccepted()) {
      log.info("{}: the carrier for datagrams is lost", migration);
    }
    reconnect(last.isAccepted() ? RETRY_MILLIS : TURNED_AWAY_MILLIS, of);
  }

  // ---- A further leg. ----

  /**
   * The process is about to move on: datagrams wait in the kernel's queues again. What it sends
   * until it stands still is sent.
   *
   * @param home whether it comes home: there its sockets get the addresses that the real ones have
   */
  public synchronized void pause(boolean home) {
    round++;
    former = session;
    session = null;
    if (former != null) {
      former.end();
    }
    if (home) {
      park.all().forEach(parked -> share(parked.fd()));
    }
  }

  private void share(int fd) {
    try {
      if (!Udp.shareAddress(fd, true)) {
        shared.add(fd);
      }
    } catch (Errno e) {
      log.warn("{}: the address of a UDP socket is not shared: {}", migration, e.getMessage());
    }
  }

  /**
   * Goes on.
   *
   * @param where by which leg the host where the process is knows it
   * @param there connects to that host
   */
  public void resume(String where, HomeRelay.Connector there) {
    HomeDatagramSession last;
    int now;
    synchronized (this) {
      shared.forEach(this::shareNoMore);
      shared.clear();
      leg = where;
      connector = there;
      last = former;
      now = ++round;
    }
    start(() -> resumeAfter(last, now));
  }

  private void shareNoMore(int fd) {
    try {
      Udp.shareAddress(fd, false);
    } catch (Errno e) {
      log.warn("{}: the address of a UDP socket stays shared: {}", migration, e.getMessage());
    }
  }

  /** In order: what the process had sent before goes first. */
  private void resumeAfter(HomeDatagramSession last, int of) {
    if (last == null || last.awaitDetached(END_MILLIS)) {
      keepTrying(0, of);
      return;
    }
    keepTrying(0, of);
    if (!last.awaitDetached(PARK_SECONDS * 1000)) { // the new session has the old one ended there
      last.carrier().close();
    }
  }

  private void reconnect(long pauseMillis, int of) {
    start(() -> keepTrying(pauseMillis, of));
  }

  private void start(Runnable task) {
    Thread thread = new Thread(task, "datagrams-" + migration);
    thread.setDaemon(true);
    thread.start();
  }

  private void keepTrying(long pauseMillis, int of) {
    try {
      Thread.sleep(pauseMillis);
      while (!isOver(of)) {
        try {
          begin(connect(), of);
          return;
        } catch (IOException e) {
          log.debug("{}: no carrier for datagrams yet: {}", migration, e.getMessage());
        } catch (RuntimeException e) {
          log.error("{}: cannot forward datagrams, trying again", migration, e);
        }
        Thread.sleep(RETRY_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private Carrier connect() throws IOException {
    HomeRelay.Connector to;
    synchronized (this) {
      to = connector;
    }
    return to.connect();
  }

  private synchronized boolean isOver(int of) {
    return over || of != round;
  }

  /**
   * Ends it, and this host's part of the sockets. Before {@link #start} the process still has them
   * as they were.
   */
  public void close() {
    List<HomeDatagramSession> last;
    Carrier unused;
    synchronized (this) {
      if (over) {
        return;
      }
      over = true;
      last = Stream.of(former, session).filter(Objects::nonNull).toList();
      unused = running ? null : first;
    }
    for (HomeDatagramSession one : last) { // its sockets are let go before they are closed
      one.carrier().close();
      if (!one.awaitDetached(PARK_SECONDS * 1000)) {
        log.warn("{}: datagrams are still being read", migration);
      }
    }
    if (unused != null) {
      unused.close();
    }
    park.quit();
  }

  /** What the host where the process is says to a session. */
  private final class Told implements HomeDatagramSession.Told {
    /** Told once, however often it is tried. */
    @Override
    public void turnedAway(String answer) {
      synchronized (HomeDatagrams.this) {
        if (!answer.equals(turnedAway)) {
          log.warn("{}: datagrams wait, the destination does not take them: {}", migration, answer);
          turnedAway = answer;
        }
      }
    }

    @Override
    public void accepted() {
      synchronized (HomeDatagrams.this) {
        if (turnedAway != null) {
          log.info("{}: datagrams are forwarded again", migration);
          turnedAway = null;
        }
      }
    }
  }
}
