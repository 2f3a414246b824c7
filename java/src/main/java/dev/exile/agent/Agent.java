package dev.exile.agent;

import dev.exile.criu.Criu;
import dev.exile.keys.GuardedListener;
import dev.exile.keys.Identity;
import dev.exile.keys.KeysException;
import dev.exile.migration.Directories;
import dev.exile.migration.Faults;
import dev.exile.migration.Journal;
import dev.exile.migration.Migrations;
import dev.exile.migration.PeerLink;
import dev.exile.migration.Site;
import dev.exile.negotiation.FileDigest;
import dev.exile.negotiation.Host;
import dev.exile.shim.CellServer;
import dev.exile.shim.Shim;
import dev.exile.signals.DeputyServer;
import dev.exile.sockets.CarrierServer;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.ForeignRoutes;
import dev.exile.sockets.Parks;
import io.grpc.Server;
import io.grpc.netty.NettyServerBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.ssl.SslContext;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The daemon: wires everything together, starts it, and stops it in the opposite order. */
public final class Agent implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Agent.class);
  private static final Duration STOP_PATIENCE = Duration.ofSeconds(40);
  private static final int LARGEST_MESSAGE = 16 << 20;

  private final AgentConfig config;
  private final FileChannel lockFile;
  private final EventLoopGroup loops;
  private final Map<String, GrpcPeer> peers = new HashMap<>();
  private final GrpcPeer self;
  private final CarrierServer carriers;
  private final CellServer cells;
  private final DeputyServer deputies;
  private final Parks parks;
  private final ForeignRoutes routes;
  private final Migrations migrations;
  private final Board board;
  private final Cluster cluster;
  private final Server peerServer;
  private final Server controlServer;

  private Agent(AgentConfig config) throws IOException, KeysException {
    this.config = config;
    Directories.create(config.run());
    lockFile = lock(config.run());
    Directories.create(config.images());
    Identity identity = config.identity();
    ControlService.CriuStatus criu = ControlService.CriuStatus.probe(config.criu());
    loops = new MultiThreadIoEventLoopGroup(EpollIoHandler.newFactory());
    for (Map.Entry<String, HostPort> peer : config.peers().entrySet()) {
      String name = peer.getKey();
      peers.put(name, new GrpcPeer(name, peer.getValue(), identity.client(name), loops));
    }
    self = new GrpcPeer(config.name(), config.self(), identity.client(config.name()), loops);
    Directories.create(open(config));
    deputies = new DeputyServer(open(config).resolve("deputy.sock"), loops);
    Shim shim = Shim.extract(open(config), Path.of("/var/lib/exile", config.name()));
    parks = new Parks(shim, config.run(), loops);
    routes = ForeignRoutes.in(config.run());
    Site site = site(criu.criu(), shim);
    Set<String> known = new HashSet<>(config.peers().keySet());
    known.add(config.name()); // for the rehearsal
    SslContext tls = identity.server(known);
    carriers = new CarrierServer(tls, loops);
    // Itself, too: a process that is recalled moves to here as to any other host.
    Function<String, Optional<PeerLink>> peerOf =
        name -> Optional.ofNullable(name.equals(config.name()) ? self : peers.get(name));
    migrations = new Migrations(site, carriers, this::relay, peerOf);
    if (migrations.load()) {
      routes.tidy();
    } else {
      routes.keep();
    }
    board =
        new Board(
            () -> migrations.all().stream().map(BoardRows::of).toList(), migrations::anyUnderWay);
    site.journal().onChange(board::changed);
    cluster = new Cluster(board, peers.values());
    cells = new CellServer(site.cellSocket(), migrations::cellSays);
    peerServer =
        NettyServerBuilder.forAddress(config.self().control())
            .sslContext(tls)
            .channelFactory(GuardedListener::open)
            .bossEventLoopGroup(loops)
            .workerEventLoopGroup(loops)
            .permitKeepAliveTime(1, TimeUnit.SECONDS)
            .permitKeepAliveWithoutCalls(true)
            .maxInboundMessageSize(LARGEST_MESSAGE)
            .intercept(PeerService.callerInterceptor())
            .addService(new PeerService(migrations, peerOf, criu, board, cluster))
            .build();
    controlServer = controlServer(new ControlService(config, migrations, peerOf, criu, cluster));
    LOG.info(
        "{}: kernel {}, CRIU {}, images in {}",
        config.name(),
        Host.kernel(),
        criu.criu().map(Criu::version).orElse("unfit: " + criu.problem()),
        config.images());
  }

  /** Two agents in one run directory would undo each other's work. */
  private static FileChannel lock(Path run) throws IOException {
    FileChannel file =
        FileChannel.open(
            run.resolve("agent.lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
    FileLock lock = file.tryLock();
    if (lock == null) {
      file.close();
      throw new IOException(
          "another agent uses " + run + "; stop it or set 'run' to another place");
    }
    return file;
  }

  /** A directory beside the run directory, for what deputies need: they run as any user. */
  private static Path open(AgentConfig config) {
    return config.run().resolveSibling(config.run().getFileName() + "-deputy");
  }

  private Site site(Optional<Criu> criu, Shim shim) throws IOException {
    return new Site(
        config.name(),
        config.run(),
        config.images(),
        config.run().resolve("cell.sock"),
        deputies,
        parks,
        shim,
        criu.orElse(new Criu(config.criu(), "0")),
        new Journal(config.run().resolve("journal")),
        Faults.fromProperties(config.run()),
        new FileDigest());
  }

  private DestinationRelay relay(String id, boolean recalled) {
    try {
      // At home the true addresses are those of the real sockets.
      return new DestinationRelay(
          id, parks.open(id + ".destination"), recalled ? ForeignRoutes.none() : routes);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot relay connections: " + e.getMessage(), e);
    }
  }

  private Server controlServer(ControlService service) throws IOException {
    Files.deleteIfExists(config.socket());
    return NettyServerBuilder.forAddress(new DomainSocketAddress(config.socket().toString()))
        .channelType(EpollServerDomainSocketChannel.class)
        .bossEventLoopGroup(loops)
        .workerEventLoopGroup(loops)
        .permitKeepAliveTime(1, TimeUnit.SECONDS)
        .addService(service)
        .build();
  }

  /**
   * Runs the agent until it is told to stop.
   *
   * @return its exit code
   */
  public static int run(AgentConfig config) {
    Agent agent;
    try {
      agent = new Agent(config);
      agent.start();
    } catch (IOException | KeysException | UncheckedIOException e) {
      LOG.error("the agent of {} cannot start: {}", config.name(), e.getMessage());
      return 1;
    }
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  agent.close();
                  stopped.countDown();
                },
                "stop"));
    try {
      stopped.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return 0;
  }

  private void start() throws IOException {
    carriers.listen(config.self().carrier());
    peerServer.start();
    migrations.start();
    rehearse();
    board.start();
    cluster.start();
    controlServer.start();
    Files.setPosixFilePermissions(config.socket(), PosixFilePermissions.fromString("rw-------"));
    LOG.info("{} listens at {}", config.name(), config.self());
  }

  private void rehearse() throws IOException {
    try {
      self.ask("rehearsal", STOP_PATIENCE);
      new Rehearsal(config.name(), config.images(), parks, carriers, self::carrier).run();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while rehearsing", e);
    }
  }

  @Override
  public void close() {
    LOG.info("{} is being stopped", config.name());
    try {
      controlServer.shutdown(); // whoever waits for a migration is still to hear how it ended
      migrations.stop(STOP_PATIENCE);
      cluster.close();
      board.close();
      if (!controlServer.awaitTermination(1, TimeUnit.SECONDS)) {
        controlServer.shutdownNow();
      }
      peerServer.shutdownNow().awaitTermination(1, TimeUnit.SECONDS);
      migrations.close();
      cells.close();
      deputies.close();
      carriers.close();
      peers.values().forEach(GrpcPeer::close);
      self.close();
      Files.deleteIfExists(config.socket());
      lockFile.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      LOG.warn("not everything could be closed: {}", e.toString());
    }
  }
}
