package dev.exile.sockets;

import dev.exile.shim.Shim;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home and destination on one machine: a carrier between them, home's frozen process, and the test
 * in the place of the clients and of the restored process. Either agent can be killed and started
 * again, and the network be cut.
 */
final class RelayFixture implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(RelayFixture.class);
  static final String MIGRATION = "m-1";

  EventLoopGroup homeLoops = loops();
  EventLoopGroup destinationLoops = loops();
  final TestCertificates authority = new TestCertificates();
  final FrozenSockets frozen = new FrozenSockets();
  final Shim shim;

  /** Makes the two ends of a connection to the restored process. */
  private final LinuxSocket ends = LinuxSocket.newSocketStream(false);

  private final Path directory = Files.createTempDirectory("exile-relay-");
  private final Path images;
  private final Map<String, InetSocketAddress> listeners = new HashMap<>();
  CarrierServer server;
  volatile Carrier carrier;
  DestinationRelay destination;
  HomeRelay home;
  private final int port;
  private Park homePark;
  private Park destinationPark;

  RelayFixture(Path images) throws IOException {
    this.images = images;
    shim = Shim.extract(directory.resolve("bin"));
    ends.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    ends.listen(1024);
    port = freePort();
    startDestination(true);
    carrier = connect("a");
    homePark = park("home", homeLoops);
    home = new HomeRelay(MIGRATION, homePark, connector());
  }

  /** Not one of those that the kernel may give to a client, which may well be our own. */
  private static int freePort() throws IOException {
    for (int port = 20_000; port < 30_000; port++) {
      try (ServerSocketChannel probe = ServerSocketChannel.open()) {
        probe.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
        return port;
      } catch (BindException e) {
        log.debug("port {} is taken: {}", port, e.getMessage());
      }
    }
    throw new IOException("no port is free");
  }

  private static EventLoopGroup loops() {
    return new MultiThreadIoEventLoopGroup(2, EpollIoHandler.newFactory());
  }

  private Park park(String name, EventLoopGroup loops) throws IOException {
    return new Parks(shim, directory, loops).open(name);
  }

  private void startDestination(boolean knows) throws IOException {
    destinationPark = park("destination", destinationLoops);
    destination = new DestinationRelay(MIGRATION, destinationPark, ForeignRoutes.none());
    listeners.forEach(destination::listener);
    server = new CarrierServer(authority.server("b"), destinationLoops);
    if (knows) {
      server.register(MIGRATION, "a", images, destination, 1 << 30);
    }
    server.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
  }

  /** The process at the destination listens there. */
  void listener(String name, InetSocketAddress target) {
    listeners.put(name, target);
    destination.listener(name, target);
  }

  /** The process runs at the destination. */
  void start() {
    home.start(carrier);
  }

  Carrier connect(String as) throws IOException {
    return connect(as, homeLoops);
  }

  private Carrier connect(String as, EventLoopGroup loops) throws IOException {
    return Carrier.connect(
        new InetSocketAddress(InetAddress.getLoopbackAddress(), port),
        "b",
        authority.client(as),
        loops,
        Duration.ofSeconds(5));
  }

  /** For the relay of the home that lives now, not for those of former ones. */
  private HomeRelay.Connector connector() {
    EventLoopGroup mine = homeLoops;
    return () -> {
      if (mine.isShuttingDown()) {
        Thread.currentThread().interrupt(); // as its process would end
        throw new IOException("dead");
      }
      Carrier next = connect("a", mine);
      carrier = next;
      return next;
    };
  }

  /** A relay of another migration, or of another host. */
  HomeRelay newHome(String migration, String park, Carrier over) throws IOException {
    return new HomeRelay(migration, park(park, homeLoops), () -> over);
  }

  /** The network is interrupted for a moment. */
  void cut() {
    carrier.close();
  }

  /** The process is about to move on. */
  void pause() {
    home.pause();
  }

  /** It runs again; it has stayed where it was, or what came with it was the same. */
  void resume() {
    home.resume(MIGRATION, connector(), null);
  }

  /** As by kill -9: nothing is said to anybody, and what was in memory is gone. */
  void killHome() throws IOException {
    homePark.disconnect();
    end(homeLoops);
    homePark.close();
  }

  /** The agent is started again. */
  void restartHome() throws IOException {
    homeLoops = loops();
    homePark = park("home", homeLoops);
    home = new HomeRelay(MIGRATION, homePark, connector());
    home.start(null);
  }

  /** Connections that are parked on either host. */
  long parked() {
    return Stream.of(homePark, destinationPark)
        .flatMap(park -> park.all().stream())
        .filter(parked -> !parked.listening())
        .count();
  }

  /** See {@link #killHome}. */
  void killDestination() {
    destinationPark.disconnect();
    server.close(); // a loop that ends does not always close what listens
    end(destinationLoops);
    destinationPark.close();
  }

  /** The agent is started again; it listens where it did. */
  void restartDestination() throws IOException {
    restartDestination(true);
  }

  /** The same of one that may have failed to take up the migration. */
  void restartDestination(boolean knows) throws IOException {
    destinationLoops = loops();
    startDestination(knows);
    destination.seal();
  }

  /**
   * A client's connection to home's process that exists at the freeze; not yet known to the
   * destination.
   */
  Relayed existing(int key) throws IOException {
    SocketChannel client = SocketChannel.open(frozen.address());
    Socket socket = frozen.accept();
    home.adoptConnection(Integer.toString(key), FrozenSockets.duplicate(socket));
    return new Relayed(client, socket, null);
  }

  /** Makes the restored process's connection for it. */
  Relayed restored(int key, Relayed existing) throws IOException {
    SocketChannel process = SocketChannel.open(ends.localAddress());
    destination.adopt(Integer.toString(key), ends.accept(new byte[26]));
    return new Relayed(existing.client(), existing.frozen(), process);
  }

  /** Both. */
  Relayed connection(int key) throws IOException {
    return restored(key, existing(key));
  }

  /**
   * One relayed connection.
   *
   * @param client the peer of home's real socket
   * @param frozen the frozen process's descriptor of it
   * @param process the restored process's socket
   */
  record Relayed(SocketChannel client, Socket frozen, SocketChannel process)
      implements AutoCloseable {
    @Override
    public void close() throws IOException {
      client.close();
      if (process != null) {
        process.close();
      }
    }
  }

  private static void end(EventLoopGroup loops) {
    loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly();
  }

  @Override
  public void close() throws IOException {
    home.close();
    destination.close();
    carrier.close();
    server.close();
    ends.close();
    frozen.close();
    end(homeLoops);
    end(destinationLoops);
    assertNothingIsLeft();
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path path : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(path);
      }
    }
  }

  private void assertNothingIsLeft() throws IOException {
    try (Stream<Path> left = Files.list(directory)) {
      left.filter(path -> path.toString().endsWith(".park"))
          .forEach(
              path -> {
                throw new AssertionError("a parker is left at " + path);
              });
    }
  }
}
