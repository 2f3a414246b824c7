package dev.exile.bench;

import dev.exile.shim.Shim;
import dev.exile.sockets.Carrier;
import dev.exile.sockets.CarrierServer;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.ForeignRoutes;
import dev.exile.sockets.HomeRelay;
import dev.exile.sockets.Parks;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.handler.ssl.ApplicationProtocolConfig;
import io.netty.handler.ssl.ApplicationProtocolConfig.Protocol;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectedListenerFailureBehavior;
import io.netty.handler.ssl.ApplicationProtocolConfig.SelectorFailureBehavior;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/**
 * One end of a relay as a process of its own, for {@code scripts/bench relay}.
 *
 * <pre>
 *   destination KEYS HOST:PORT TARGET          takes carriers at HOST:PORT, connects to TARGET
 *   home        KEYS HOST:PORT CARRIER         listens at HOST:PORT, relays over CARRIER
 *   send        KEYS FILE CARRIER              sends FILE several times, prints MB/s
 * </pre>
 *
 * KEYS is a directory with ca.pem, NAME.pem and NAME.key for the names home and destination.
 */
public final class RelayEnds {
  private static final String MIGRATION = "bench";
  private static final EventLoopGroup LOOPS =
      new MultiThreadIoEventLoopGroup(Integer.getInteger("loops", 1), EpollIoHandler.newFactory());

  private RelayEnds() {}

  /** See the class. */
  public static void main(String[] args) throws Exception {
    Path keys = Path.of(args[1]);
    switch (args[0]) {
      case "destination" -> destination(keys, address(args[2]), address(args[3]));
      case "home" -> home(keys, address(args[2]), address(args[3]));
      case "send" -> send(keys, Path.of(args[2]), address(args[3]));
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  @SuppressWarnings("resource") // Lives as long as the process.
  private static void destination(Path keys, InetSocketAddress bind, InetSocketAddress target)
      throws IOException {
    DestinationRelay relay =
        new DestinationRelay(MIGRATION, parks(keys).open("destination"), ForeignRoutes.none());
    relay.listener("1", target);
    CarrierServer server = new CarrierServer(server(keys), LOOPS);
    server.listen(bind);
    Path images = Files.createTempDirectory(keys, "images");
    server.register(MIGRATION, "home", images, relay, Long.MAX_VALUE);
    System.out.println("ready");
  }

  @SuppressWarnings("resource") // Lives as long as the process.
  private static void home(Path keys, InetSocketAddress bind, InetSocketAddress carrierAddress)
      throws IOException {
    LinuxSocket listener = LinuxSocket.newSocketStream(false);
    listener.setReuseAddress(true);
    listener.bind(bind);
    listener.listen(128);
    HomeRelay relay =
        new HomeRelay(MIGRATION, parks(keys).open("home"), () -> connect(keys, carrierAddress));
    relay.adoptListener("1", listener.intValue());
    relay.start(connect(keys, carrierAddress));
    System.out.println("ready");
  }

  /** As an agent has them; the parkers are to be ended by whoever ends this process. */
  private static Parks parks(Path keys) throws IOException {
    return new Parks(Shim.extract(keys.resolve("bin")), keys, LOOPS);
  }

  private static void send(Path keys, Path file, InetSocketAddress carrierAddress)
      throws Exception {
    try (Carrier carrier = connect(keys, carrierAddress)) {
      for (int i = 0; i < Integer.getInteger("files", 8); i++) {
        long begin = System.nanoTime();
        long bytes = carrier.sendFile(MIGRATION, "file-" + i, file, sent -> {}).get();
        double seconds = (System.nanoTime() - begin) / 1e9;
        System.out.printf("sendFile: %.0f MB/s%n", bytes / seconds / 1e6);
      }
    }
    System.exit(0);
  }

  private static Carrier connect(Path keys, InetSocketAddress address) throws IOException {
    return Carrier.connect(address, "destination", client(keys), LOOPS, Duration.ofSeconds(10));
  }

  private static SslContext server(Path keys) throws IOException {
    return common(
            SslContextBuilder.forServer(
                keys.resolve("destination.pem").toFile(), keys.resolve("destination.key").toFile()),
            keys)
        .clientAuth(ClientAuth.REQUIRE)
        .build();
  }

  private static SslContext client(Path keys) throws IOException {
    return common(
            SslContextBuilder.forClient()
                .keyManager(keys.resolve("home.pem").toFile(), keys.resolve("home.key").toFile()),
            keys)
        .build();
  }

  private static SslContextBuilder common(SslContextBuilder builder, Path keys) {
    return builder
        .sslProvider(SslProvider.OPENSSL)
        .trustManager(keys.resolve("ca.pem").toFile())
        .protocols("TLSv1.3")
        .applicationProtocolConfig(
            new ApplicationProtocolConfig(
                Protocol.ALPN,
                SelectorFailureBehavior.NO_ADVERTISE,
                SelectedListenerFailureBehavior.ACCEPT,
                "h2"));
  }

  private static InetSocketAddress address(String text) {
    int colon = text.lastIndexOf(':');
    return new InetSocketAddress(
        text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
  }
}
