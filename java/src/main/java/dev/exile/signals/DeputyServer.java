package dev.exile.signals;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.codec.LineBasedFrameDecoder;
import io.netty.handler.codec.string.StringDecoder;
import io.netty.handler.codec.string.StringEncoder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The unix socket at which deputies find this agent; native/src/deputy.c has the lines. Whoever
 * says to be a deputy must be the process of that PID, which only the kernel can tell.
 */
// A close that fails has closed.
@SuppressWarnings("FutureReturnValueIgnored")
public final class DeputyServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(DeputyServer.class);
  private static final int LINE = 512;

  private final Map<String, Deputies> migrations = new ConcurrentHashMap<>();
  private final Path path;
  private final Channel listener;

  /** Listens at {@code path}. */
  public DeputyServer(Path path, EventLoopGroup loops) throws IOException {
    this.path = path;
    Files.deleteIfExists(path);
    listener =
        new ServerBootstrap()
            .group(loops)
            .channel(EpollServerDomainSocketChannel.class)
            .childHandler(
                new ChannelInitializer<EpollDomainSocketChannel>() {
                  @Override
                  protected void initChannel(EpollDomainSocketChannel channel) throws IOException {
                    accept(channel, channel.peerCredentials().pid());
                  }
                })
            .bind(new DomainSocketAddress(path.toString()))
            .syncUninterruptibly()
            .channel();
    // A deputy has the rights of the process that it stands for, which may be any user's.
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-rw-rw-"));
  }

  private void accept(Channel channel, int pid) {
    if (migrations.values().stream().noneMatch(deputies -> deputies.expects(pid))) {
      // A deputy tries again: its migration may not have been taken up yet.
      channel.close();
      return;
    }
    channel
        .pipeline()
        .addLast(
            new LineBasedFrameDecoder(LINE),
            new StringDecoder(StandardCharsets.US_ASCII),
            new StringEncoder(StandardCharsets.US_ASCII),
            new Lines(pid));
  }

  Path path() {
    return path;
  }

  void register(String id, Deputies deputies) {
    migrations.put(id, deputies);
  }

  void unregister(String id) {
    migrations.remove(id);
  }

  @Override
  public void close() throws IOException {
    listener.close().syncUninterruptibly();
    Files.deleteIfExists(path);
  }

  /** One deputy's connection. */
  private final class Lines extends SimpleChannelInboundHandler<String> {
    private final int pid;
    private Deputies deputies;

    Lines(int pid) {
      this.pid = pid;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext ctx, String line) throws IOException {
      String[] words = line.split(" ", -1);
      if (words.length < 4 || !words[2].equals(Integer.toString(pid))) {
        throw new IOException("process " + pid + " says '" + line + "'");
      }
      switch (words[0]) {
        case "deputy" -> {
          deputies = migrations.get(words[1]);
          if (deputies == null || !deputies.expects(pid)) {
            throw new IOException("process " + pid + " is no deputy of " + words[1]);
          }
          deputies.connected(pid, ctx.channel());
        }
        case "held", "signal" -> {
          if (deputies != null) {
            deputies.took(
                pid,
                Long.parseLong(words[3]),
                Integer.parseInt(words[4]),
                words[5],
                words[0].equals("held"));
          }
        }
        default -> throw new IOException("process " + pid + " says '" + line + "'");
      }
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
      if (deputies != null) {
        deputies.disconnected(pid, ctx.channel());
      }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      LOG.warn("a deputy's line is refused: {}", cause.getMessage());
      ctx.close();
    }
  }
}
