package dev.exile.sockets;

import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/**
 * Home and destination on one machine: a carrier between them, home's frozen process, and the test
 * in the place of the clients and of the restored process.
 */
final class RelayFixture implements AutoCloseable {
  static final String MIGRATION = "m-1";

  final EventLoopGroup homeLoops = new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
  final EventLoopGroup destinationLoops =
      new MultiThreadIoEventLoopGroup(1, EpollIoHandler.newFactory());
  final TestCertificates authority = new TestCertificates();
  final FrozenSockets frozen = new FrozenSockets();
  final CarrierServer server;
  final Carrier carrier;
  final DestinationRelay destination;
  final HomeRelay home;

  RelayFixture(Path images) throws IOException {
    server = new CarrierServer(authority.server("b"), destinationLoops);
    server.listen(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    destination = new DestinationRelay(MIGRATION, destinationLoops);
    server.register(MIGRATION, "a", images, destination, 1 << 30);
    carrier = connect("a");
    home = new HomeRelay(carrier, MIGRATION);
  }

  Carrier connect(String as) throws IOException {
    return Carrier.connect(
        server.address(), "b", authority.client(as), homeLoops, Duration.ofSeconds(5));
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
    SocketChannel process = SocketChannel.open(destination.entrance4());
    destination.attach(Integer.toString(key), (InetSocketAddress) process.getLocalAddress());
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

  @Override
  public void close() throws IOException {
    home.close();
    destination.close();
    carrier.close();
    server.close();
    frozen.close();
    homeLoops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly();
    destinationLoops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly();
  }
}
