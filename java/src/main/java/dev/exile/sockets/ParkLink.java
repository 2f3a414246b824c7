package dev.exile.sockets;

import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import io.netty.bootstrap.Bootstrap;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import io.netty.handler.codec.LineBasedFrameDecoder;
import io.netty.handler.codec.string.StringDecoder;
import io.netty.handler.codec.string.StringEncoder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A connection to a parker, native/src/park.c: lines there, lines back, as they come. */
// What could not be written will be missed, and the channel's end is told.
@SuppressWarnings("FutureReturnValueIgnored")
final class ParkLink implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ParkLink.class);
  private static final int LINE = 1024;

  private static final int START_SECONDS = 10;
  private static final int QUIT_SECONDS = 5;

  /** What a parker says; on the link's event loop. */
  interface Listener {
    /** A line, by its words. */
    void said(ParkLink link, String[] words);

    /** The connection has ended. */
    void ended(ParkLink link);
  }

  private static final Listener DEAF =
      new Listener() {
        @Override
        public void said(ParkLink link, String[] words) {}

        @Override
        public void ended(ParkLink link) {}
      };

  private final EpollDomainSocketChannel channel;

  private ParkLink(EpollDomainSocketChannel channel) {
    this.channel = channel;
  }

  /** Starts a parker that listens at the path. */
  static void start(Shim shim, Path path) throws IOException {
    Process process =
        new ProcessBuilder(shim.job("park", List.of("--socket", path.toString())))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try {
      if (!process.waitFor(START_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new ShimException("the parker did not start within " + START_SECONDS + " s");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ShimException("interrupted while the parker was started");
    }
    String answer = process.inputReader(StandardCharsets.UTF_8).readLine();
    if (answer == null || !answer.startsWith("park ")) {
      throw new ShimException(answer == null ? "the parker did not start" : answer);
    }
  }

  /**
   * Connects to a parker.
   *
   * @throws IOException where none listens at the path
   */
  static ParkLink connect(Path path, EventLoopGroup loops, Listener listener) throws IOException {
    ChannelFuture connected =
        new Bootstrap()
            .group(loops)
            .channel(EpollDomainSocketChannel.class)
            .handler(new Initializer(listener))
            .connect(new DomainSocketAddress(path.toString()))
            .awaitUninterruptibly();
    if (!connected.isSuccess()) {
      throw new IOException("no parker at " + path, connected.cause());
    }
    return connected.channel().pipeline().get(Lines.class).link;
  }

  /** Ends the parker at the path, where there is one, with all that it holds. */
  static void end(Path path, EventLoopGroup loops) throws IOException {
    if (!Files.exists(path)) {
      return;
    }
    try {
      ParkLink link = connect(path, loops, DEAF);
      link.say("quit");
      link.awaitEnd();
    } catch (IOException e) {
      LOG.debug("{}; it has been killed", e.getMessage());
    }
    Files.deleteIfExists(path);
  }

  /** The parker's PID, as the kernel knows it. */
  int pid() throws IOException {
    return channel.peerCredentials().pid();
  }

  /** Says a line; done once it is the kernel's, from where it is obeyed whatever happens to us. */
  ChannelFuture say(String line) {
    return channel.writeAndFlush(line + "\n");
  }

  boolean isOpen() {
    return channel.isActive();
  }

  /** Waits until the parker has ended after it was told to. */
  void awaitEnd() {
    if (!channel.closeFuture().awaitUninterruptibly(QUIT_SECONDS, TimeUnit.SECONDS)) {
      LOG.warn("the parker {} does not end", channel.remoteAddress());
    }
  }

  @Override
  public void close() {
    channel.close();
  }

  /** Sets up a connection. */
  private static final class Initializer extends ChannelInitializer<EpollDomainSocketChannel> {
    private final Listener listener;

    Initializer(Listener listener) {
      this.listener = listener;
    }

    @Override
    protected void initChannel(EpollDomainSocketChannel channel) {
      channel
          .pipeline()
          .addLast(
              new LineBasedFrameDecoder(LINE),
              new StringDecoder(StandardCharsets.US_ASCII),
              new StringEncoder(StandardCharsets.US_ASCII),
              new Lines(new ParkLink(channel), listener));
    }
  }

  /** Passes lines on. */
  private static final class Lines extends SimpleChannelInboundHandler<String> {
    private final ParkLink link;
    private final Listener listener;

    Lines(ParkLink link, Listener listener) {
      this.link = link;
      this.listener = listener;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext ctx, String line) {
      listener.said(link, line.split(" ", -1));
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
      listener.ended(link);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      LOG.error("the talk with the parker {} broke", ctx.channel().remoteAddress(), cause);
      ctx.close();
    }
  }
}
