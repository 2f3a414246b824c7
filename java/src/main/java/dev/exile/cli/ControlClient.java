package dev.exile.cli;

import dev.exile.rpc.control.ControlGrpc;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** The CLI's connection to the agent on its own host, over the agent's unix socket. */
public final class ControlClient implements AutoCloseable {
  /** A closed connection has nothing left to say; this only bounds a bug. */
  private static final long CLOSE_MILLIS = 500;

  private final ManagedChannel channel;
  private final EventLoopGroup loop;

  private ControlClient(ManagedChannel channel, EventLoopGroup loop) {
    this.channel = channel;
    this.loop = loop;
  }

  /**
   * Connects to an agent.
   *
   * @param socket the agent's unix socket
   * @throws CliException with a line that says what to do, if no agent answers there
   */
  static ControlClient connect(Path socket) throws CliException {
    probe(socket);
    EventLoopGroup loop =
        new MultiThreadIoEventLoopGroup(
            1, new DefaultThreadFactory("control", true), EpollIoHandler.newFactory());
    ManagedChannel channel =
        NettyChannelBuilder.forAddress(new DomainSocketAddress(socket.toString()))
            .eventLoopGroup(loop)
            .channelType(EpollDomainSocketChannel.class, DomainSocketAddress.class)
            .overrideAuthority("localhost") // a path is none
            .usePlaintext() // the socket's permissions are the protection
            .build();
    return new ControlClient(channel, loop);
  }

  /** For calls that block. */
  ControlGrpc.ControlBlockingStub blocking() {
    return ControlGrpc.newBlockingStub(channel);
  }

  /** For calls that report to an observer. */
  ControlGrpc.ControlStub async() {
    return ControlGrpc.newStub(channel);
  }

  @Override
  public void close() {
    channel.shutdownNow();
    try {
      channel.awaitTermination(CLOSE_MILLIS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    loop.shutdownGracefully(0, CLOSE_MILLIS, TimeUnit.MILLISECONDS)
        .awaitUninterruptibly(CLOSE_MILLIS);
  }

  /** A plain connect first: the kernel's reason is clearer than what gRPC makes of it. */
  private static void probe(Path socket) throws CliException {
    if (Files.notExists(socket)) {
      throw new CliException(
          ExitCode.FAILED,
          "no agent on this host: "
              + socket
              + " is missing; start one with systemctl start exile-agent or exile agent --config"
              + " FILE");
    }
    // Files.exists is false too where the directory may not be searched.
    if (!Files.exists(socket) || !Files.isWritable(socket)) {
      throw new CliException(
          ExitCode.FAILED, "not permitted to use the agent's socket " + socket + ": run as root");
    }
    try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      probe.connect(UnixDomainSocketAddress.of(socket));
    } catch (IOException e) {
      throw new CliException(
          ExitCode.FAILED,
          "no agent answers at "
              + socket
              + " ("
              + e.getMessage()
              + "); start one with systemctl start exile-agent or exile agent --config FILE",
          e);
    }
  }
}
