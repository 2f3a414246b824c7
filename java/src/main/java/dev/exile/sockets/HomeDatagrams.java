package dev.exile.sockets;

import dev.exile.linux.DatagramIo;
import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's half of what becomes of UDP sockets: the real ones stay here, parked, and after COMMIT
 * their datagrams pass over a stream of a carrier of their own.
 *
 * <p>Nothing is read before {@link #start}: the kernel's queue holds what waited at the freeze and
 * what comes in exile. While there is no carrier it does so again. Thread-safe.
 */
// Closing a lost stream cannot fail in a way that matters.
@SuppressWarnings("FutureReturnValueIgnored")
public final class HomeDatagrams {
  private static final Logger log = LoggerFactory.getLogger(HomeDatagrams.class);
  private static final long PARK_SECONDS = 10;
  private static final long RETRY_MILLIS = 200;
  private static final long TURNED_AWAY_MILLIS = 1_000;

  private final String migration;
  private final HomeRelay.Connector connector;
  private final Park park;
  private Carrier first;
  private Session session;
  private boolean running;
  private boolean over;

  /**
   * What the destination's agent last said as it took no datagrams; null before, and once it does.
   */
  private String turnedAway;

  /**
   * @param park holds the sockets; belongs to this object from now on
   */
  public HomeDatagrams(String migration, Park park, HomeRelay.Connector connector) {
    this.migration = migration;
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
    synchronized (this) {
      running = true;
      open = first;
    }
    if (open != null && open.isOpen()) {
      begin(open);
    } else {
      reconnect(0);
    }
  }

  private void begin(Carrier carrier) {
    Session next = new Session(carrier);
    synchronized (this) {
      if (over) {
        carrier.close();
        return;
      }
      session = next;
    }
    carrier
        .open(
            new CarrierProtocol.Target(CarrierProtocol.Kind.DATAGRAMS, migration, "all").headers(),
            next::open)
        .addListener(
            opened -> {
              if (!opened.isSuccess()) {
                log.warn("{}: no stream for datagrams: {}", migration, "" + opened.cause());
                carrier.channel().close();
              }
            });
    carrier.onClosed(() -> lost(next));
  }

  private void lost(Session last) {
    last.detach();
    synchronized (this) {
      if (session != last || over) {
        return;
      }
      session = null;
    }
    if (last.accepted) {
      log.info("{}: the carrier for datagrams is lost", migration);
    }
    reconnect(last.accepted ? RETRY_MILLIS : TURNED_AWAY_MILLIS);
  }

  /** Told once, however often it is tried. */
  private synchronized void turnedAway(String answer) {
    if (!answer.equals(turnedAway)) {
      log.warn("{}: datagrams wait, the destination does not take them: {}", migration, answer);
      turnedAway = answer;
    }
  }

  private synchronized void accepted() {
    if (turnedAway != null) {
      log.info("{}: datagrams are forwarded again", migration);
      turnedAway = null;
    }
  }

  private void reconnect(long pauseMillis) {
    Thread thread = new Thread(() -> keepTrying(pauseMillis), "datagrams-" + migration);
    thread.setDaemon(true);
    thread.start();
  }

  private void keepTrying(long pauseMillis) {
    try {
      Thread.sleep(pauseMillis);
      while (!isOver()) {
        try {
          begin(connector.connect());
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

  private synchronized boolean isOver() {
    return over;
  }

  /**
   * Ends it, and this host's part of the sockets. Before {@link #start} the process still has them
   * as they were.
   */
  public void close() {
    Session last;
    Carrier unused;
    synchronized (this) {
      if (over) {
        return;
      }
      over = true;
      last = session;
      unused = running ? null : first;
    }
    if (last != null) {
      last.carrier.close(); // its sockets are let go before they are closed
      last.awaitDetached();
    }
    if (unused != null) {
      unused.close();
    }
    park.quit();
  }

  /** What is done over one carrier, on its event loop. */
  private final class Session implements PacketStream.End {
    private final Carrier carrier;
    private final Map<Integer, List<UdpSocket>> byPort = new HashMap<>();
    private final List<UdpSocket> sockets = new ArrayList<>();
    private final CompletableFuture<Void> detached = new CompletableFuture<>();
    private PacketStream stream;
    private volatile boolean accepted;

    Session(Carrier carrier) {
      this.carrier = carrier;
    }

    void open(Http2StreamChannel channel) {
      stream = new PacketStream(channel, this);
      channel.pipeline().addLast(stream);
    }

    /** Not before the destination has said yes: what is read is gone from the kernel's queue. */
    @Override
    public void answered(CarrierProtocol.Answer answer) {
      if (!answer.accepted()) {
        turnedAway(answer.toString());
        stream.close();
        carrier.channel().close();
        return;
      }
      accepted = true;
      accepted();
      DatagramIo io = new DatagramIo();
      for (Park.Parked parked : park.all()) {
        try {
          UdpSocket socket = new UdpSocket(parked.fd(), io);
          sockets.add(socket);
          byPort.computeIfAbsent(socket.port(), port -> new ArrayList<>()).add(socket);
          socket.open(stream, stream.loop());
        } catch (IOException e) {
          log.error("{}: datagrams of a socket are not forwarded", migration, e);
        }
      }
    }

    @Override
    public void packet(ByteBuf packet) {
      UdpPacket.of(packet).ifPresent(this::send);
    }

    private void send(UdpPacket packet) {
      boolean chosen = !DestinationDatagrams.isUnchosen(packet.source().getAddress());
      UdpSocket best = null;
      int fitness = -1;
      for (UdpSocket socket : byPort.getOrDefault(packet.source().getPort(), List.of())) {
        int suits = socket.fitness(packet);
        if (suits > fitness) {
          fitness = suits;
          best = socket;
        }
      }
      if (best != null) {
        best.send(packet, chosen);
      } else {
        log.debug("{}: no socket has sent {}", migration, packet);
      }
    }

    @Override
    public void writable() {
      sockets.forEach(UdpSocket::read);
    }

    @Override
    public void lost() {
      detach();
      carrier.channel().close();
    }

    void detach() {
      sockets.forEach(UdpSocket::detach);
      sockets.clear();
      byPort.clear();
      detached.complete(null);
    }

    void awaitDetached() {
      try {
        detached.get(PARK_SECONDS, TimeUnit.SECONDS);
      } catch (ExecutionException | TimeoutException e) {
        log.warn("{}: datagrams are still being read", migration, e);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
