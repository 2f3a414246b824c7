package dev.exile.agent;

import dev.exile.migration.Directories;
import dev.exile.sockets.Carrier;
import dev.exile.sockets.CarrierServer;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.ForeignRoutes;
import dev.exile.sockets.HomeRelay;
import dev.exile.sockets.Park;
import dev.exile.sockets.Parks;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;

/**
 * Sends a few files and bytes from this host to itself before the agent is ready, through the very
 * code that a migration runs in its freeze: there, loading and interpreting classes for the first
 * time would cost some hundred milliseconds. What fails here would fail a migration as well.
 */
final class Rehearsal {
  private static final String ID = "rehearsal";
  private static final String HOME = ID + ".home";
  private static final String DESTINATION = ID + ".destination";
  private static final int ROUNDS = 3;
  private static final int FILES = 20;
  private static final int SMALL = 2_000;
  private static final int LARGE = 8 << 20;
  private static final int BACKLOG = 16;
  private static final int CONNECTIONS = 30;
  private static final int EXCHANGES = 20;
  private static final Duration FLUSH = Duration.ofSeconds(2);

  private final String self;
  private final Path images;
  private final Parks parks;
  private final CarrierServer carriers;
  private final Connector connector;

  /** How the agent opens a carrier to itself. */
  @FunctionalInterface
  interface Connector {
    Carrier connect() throws IOException;
  }

  /**
   * A rehearsal.
   *
   * @param self this host's name
   * @param images where images are received
   */
  Rehearsal(String self, Path images, Parks parks, CarrierServer carriers, Connector connector) {
    this.self = self;
    this.images = images;
    this.parks = parks;
    this.carriers = carriers;
    this.connector = connector;
  }

  /** Rehearses. */
  void run() throws IOException, InterruptedException {
    Path outgoing = empty(images.resolve(ID + "-out"));
    Path incoming = empty(images.resolve(ID));
    try (DestinationRelay relay =
            new DestinationRelay(ID, empty(DESTINATION), ForeignRoutes.none());
        Carrier carrier = connector.connect()) {
      carriers.register(ID, self, incoming, relay, Long.MAX_VALUE);
      for (int round = 0; round < ROUNDS; round++) {
        files(carrier, outgoing, round);
      }
      connections(carrier, relay);
    } catch (ExecutionException e) {
      throw new IOException("the rehearsal failed: " + e.getCause().getMessage(), e);
    } finally {
      carriers.unregister(ID);
      Directories.delete(outgoing);
      Directories.delete(incoming);
    }
  }

  /** An agent that was killed in its rehearsal may have left something. */
  private static Path empty(Path directory) throws IOException {
    Directories.delete(directory);
    return Directories.create(directory);
  }

  private Park empty(String park) throws IOException {
    parks.end(park);
    return parks.open(park);
  }

  private static void files(Carrier carrier, Path directory, int round)
      throws IOException, InterruptedException, ExecutionException {
    List<CompletableFuture<Long>> sent = new ArrayList<>();
    for (int i = 0; i < FILES; i++) {
      Path file = directory.resolve(round + "-" + i);
      Files.write(file, new byte[i == 0 ? LARGE : SMALL]);
      sent.add(carrier.sendFile(ID, file.getFileName().toString(), file, bytes -> {}));
    }
    for (CompletableFuture<Long> one : sent) {
      one.get();
    }
  }

  /** Clients of a listener that home relays to an echo server behind the destination. */
  private void connections(Carrier carrier, DestinationRelay relay) throws IOException {
    InetAddress loopback = InetAddress.getLoopbackAddress();
    try (ServerSocket echo = new ServerSocket(0, BACKLOG, loopback);
        HomeRelay home = new HomeRelay(ID, empty(HOME), connector::connect)) {
      Thread server = new Thread(() -> echo(echo), "rehearsal-echo");
      server.setDaemon(true);
      server.start();
      Socket listener = Socket.newSocketStream();
      listener.bind(new InetSocketAddress(loopback, 0));
      listener.listen(BACKLOG);
      InetSocketAddress entrance = listener.localAddress();
      relay.listener("0", new InetSocketAddress(loopback, echo.getLocalPort()));
      home.adoptListener("0", listener.intValue());
      home.start(carrier);
      for (int i = 0; i < CONNECTIONS; i++) {
        exchange(entrance);
      }
      home.close(FLUSH);
    }
  }

  private static void exchange(InetSocketAddress entrance) throws IOException {
    try (java.net.Socket client = new java.net.Socket(entrance.getAddress(), entrance.getPort())) {
      InputStream in = client.getInputStream();
      OutputStream out = client.getOutputStream();
      byte[] bytes = new byte[SMALL];
      for (int i = 0; i < EXCHANGES; i++) {
        out.write(bytes);
        if (in.readNBytes(bytes, 0, bytes.length) != bytes.length) {
          throw new IOException("the rehearsal's bytes did not come back");
        }
      }
    }
  }

  private static void echo(ServerSocket server) {
    while (true) {
      try (java.net.Socket client = server.accept()) {
        client.getInputStream().transferTo(client.getOutputStream());
      } catch (IOException e) {
        if (server.isClosed()) {
          return;
        }
      }
    }
  }
}
