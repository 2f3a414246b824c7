package dev.exile.sockets;

import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.codec.http2.Http2SettingsFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.handler.codec.http2.Http2StreamChannelBootstrap;
import io.netty.handler.ssl.SslContext;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.LongConsumer;

/**
 * Home's side of one carrier connection: TLS 1.3 with both sides authenticated, HTTP/2 inside, see
 * {@link CarrierProtocol}. It is opened ahead of the freeze.
 *
 * <p>One event loop of the group serves the connection and everything relayed over it. Use one
 * carrier for relayed sockets and another one for images, so that neither waits for the other.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
public final class Carrier implements AutoCloseable {
  private final Channel channel;
  private final String peerName;
  private final CompletableFuture<Void> closed = new CompletableFuture<>();

  private Carrier(Channel channel, String peerName) {
    this.channel = channel;
    this.peerName = peerName;
    channel.closeFuture().addListener(future -> closed.complete(null));
  }

  /**
   * Connects and waits until the destination has accepted our certificate.
   *
   * @param address where the destination's {@link CarrierServer} listens
   * @param peerName the name that the destination's certificate must have
   * @param tls a client context with our certificate, ALPN "h2"
   * @param group event loops with epoll; the carrier takes one
   * @param timeout for all of it
   * @throws IOException if the destination does not answer in time, is someone else, or refuses us
   */
  public static Carrier connect(
      InetSocketAddress address,
      String peerName,
      SslContext tls,
      EventLoopGroup group,
      Duration timeout)
      throws IOException {
    CompletableFuture<Carrier> ready = new CompletableFuture<>();
    Future<Void> connecting =
        new Bootstrap()
            .group(group)
            .channel(EpollSocketChannel.class)
            .option(ChannelOption.CONNECT_TIMEOUT_MILLIS, (int) timeout.toMillis())
            .handler(new Initializer(tls, peerName, address.getPort(), ready))
            .connect(address);
    connecting.addListener(
        future -> {
          if (!future.isSuccess()) {
            ready.completeExceptionally(future.cause());
          }
        });
    try {
      return ready.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException e) {
      throw new IOException(
          "no carrier to " + peerName + " at " + address + ": " + e.getCause().getMessage(),
          e.getCause());
    } catch (TimeoutException e) {
      ready.whenComplete(
          (late, failure) -> {
            if (late != null) {
              late.close();
            }
          });
      throw new IOException(
          "no carrier to " + peerName + " at " + address + " within " + timeout.toMillis() + " ms",
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while connecting to " + peerName, e);
    }
  }

  /** The name in the destination's certificate. */
  public String peerName() {
    return peerName;
  }

  /**
   * Sends a file. The file must not change meanwhile.
   *
   * @param migration the migration's id, as registered at the destination
   * @param name the file's name there
   * @param progress told the bytes sent so far, from an event loop: must not block
   * @return the file's size, when the destination has it complete; fails with an {@link
   *     IOException} that has the reason, and nothing is left at the destination then
   */
  public CompletableFuture<Long> sendFile(
      String migration, String name, Path file, LongConsumer progress) {
    return new ImageSender(this, migration, name, file, progress).start();
  }

  /**
   * Opens a stream for the memory of a migration.
   *
   * @param end deals with what comes back, on an event loop: must not block
   */
  public PageStream openPages(String migration, PageStream.End end) throws IOException {
    CompletableFuture<PageStream> opened = new CompletableFuture<>();
    open(
            new CarrierProtocol.Target(CarrierProtocol.Kind.PAGES, migration, "all").headers(),
            stream -> {
              PageStream pages = new PageStream(stream, Runnable::run);
              pages.to(end);
              stream.pipeline().addLast(pages);
              opened.complete(pages);
            })
        .addListener(
            future -> {
              if (!future.isSuccess()) {
                opened.completeExceptionally(future.cause());
              }
            });
    try {
      return opened.get();
    } catch (ExecutionException e) {
      throw new IOException("no stream for pages: " + e.getCause().getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while a stream for pages was opened", e);
    }
  }

  /** How long sent bytes may stay unacknowledged before the connection counts as lost. */
  public void giveUpAfter(Duration silence) {
    channel.config().setOption(EpollChannelOption.TCP_USER_TIMEOUT, (int) silence.toMillis());
  }

  /** True until the connection is lost or closed. */
  public boolean isOpen() {
    return channel.isActive();
  }

  /** Runs the action, which must not block, when the connection is lost or closed. */
  public void onClosed(Runnable action) {
    channel.closeFuture().addListener(future -> action.run());
  }

  /** Completes when the connection is lost or closed. */
  public CompletableFuture<Void> closed() {
    return closed.copy();
  }

  /** Closes the connection; relayed connections over it are reset at both ends. */
  @Override
  public void close() {
    channel.close().awaitUninterruptibly();
  }

  Channel channel() {
    return channel;
  }

  /**
   * Opens a stream; on the carrier's event loop this is done at once.
   *
   * @param headers the request
   * @param setUp adds handlers to the stream before the request is sent
   */
  Future<Http2StreamChannel> open(Http2Headers headers, Consumer<Http2StreamChannel> setUp) {
    return new Http2StreamChannelBootstrap(channel)
        .handler(
            new ChannelInitializer<Http2StreamChannel>() {
              @Override
              protected void initChannel(Http2StreamChannel stream) {
                CarrierTransport.configureStream(stream);
                setUp.accept(stream);
              }
            })
        .open()
        .addListener(
            (Future<Http2StreamChannel> future) -> {
              if (future.isSuccess()) {
                future.getNow().writeAndFlush(new DefaultHttp2HeadersFrame(headers));
              }
            });
  }

  /**
   * Sets up a connection to the destination; the carrier is ready when the destination has spoken.
   */
  private static final class Initializer extends ChannelInitializer<EpollSocketChannel>
      implements Handshake.Next {
    private final SslContext tls;
    private final String expected;
    private final int port;
    private final CompletableFuture<Carrier> ready;

    Initializer(SslContext tls, String expected, int port, CompletableFuture<Carrier> ready) {
      this.tls = tls;
      this.expected = expected;
      this.port = port;
      this.ready = ready;
    }

    @Override
    protected void initChannel(EpollSocketChannel channel) {
      CarrierTransport.configure(channel);
      channel
          .pipeline()
          .addLast(tls.newHandler(channel.alloc(), expected, port), new Handshake(this));
    }

    @Override
    public void authenticated(Channel channel, String name) throws IOException, Http2Exception {
      if (!name.equals(expected)) {
        throw new IOException("the peer is " + name + ", not " + expected);
      }
      CarrierTransport.addHttp2(channel, false, new NoStreams());
      channel.pipeline().addLast(new AwaitSettings(ready, name), new CarrierErrors());
    }

    @Override
    public void refused(Throwable cause) {
      ready.completeExceptionally(cause);
    }
  }

  /**
   * In TLS 1.3 our side of the handshake ends before the peer has looked at our certificate. That
   * it sends its HTTP/2 settings shows that it has taken it.
   */
  private static final class AwaitSettings extends ChannelInboundHandlerAdapter {
    private final CompletableFuture<Carrier> ready;
    private final String name;

    AwaitSettings(CompletableFuture<Carrier> ready, String name) {
      this.ready = ready;
      this.name = name;
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
      if (message instanceof Http2SettingsFrame && !ready.isDone()) {
        Carrier carrier = new Carrier(ctx.channel(), name);
        if (!ready.complete(carrier)) {
          ctx.close();
        }
      }
      ctx.fireChannelRead(message);
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      Throwable reason = cause.getCause() == null ? cause : cause.getCause();
      ready.completeExceptionally(
          new IOException("refused by the peer: " + reason.getMessage(), cause));
      ctx.fireExceptionCaught(cause);
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
      ready.completeExceptionally(new IOException("the peer closed the connection"));
      ctx.fireChannelInactive();
    }
  }

  /** Destinations open no streams. */
  @ChannelHandler.Sharable
  private static final class NoStreams extends ChannelInboundHandlerAdapter {
    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
      ReferenceCountUtil.release(message);
      ctx.close();
    }
  }
}
