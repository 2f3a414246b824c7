package dev.exile.keys;

import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslHandler;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * A TLS server and one client on loopback. The server greets whom it has accepted; in TLS 1.3 a
 * client believes in its handshake before the server has looked at its certificate, so only this
 * greeting tells that it was let in.
 */
@SuppressWarnings("FutureReturnValueIgnored") // a failed write or close shows as no greeting
final class Loopback implements AutoCloseable {
  private static final long SECONDS = 10;

  private final EventLoopGroup loop =
      new MultiThreadIoEventLoopGroup(2, EpollIoHandler.newFactory());
  private final Channel server;

  /** The names of those who were let in. */
  final List<String> accepted = new CopyOnWriteArrayList<>();

  Loopback(SslContext context) {
    server =
        new ServerBootstrap()
            .group(loop)
            .channelFactory(GuardedListener::open)
            .childHandler(
                new ChannelInitializer<Channel>() {
                  @Override
                  protected void initChannel(Channel channel) {
                    SslHandler tls = context.newHandler(channel.alloc());
                    tls.handshakeFuture()
                        .addListener(
                            done -> {
                              if (done.isSuccess()) {
                                accepted.add(PeerNames.of(tls.engine().getSession()));
                                channel.writeAndFlush(Unpooled.copyInt(1));
                              }
                            });
                    channel.pipeline().addLast(tls, new Quiet());
                  }
                })
            .bind(InetAddress.getLoopbackAddress(), 0)
            .syncUninterruptibly()
            .channel();
  }

  InetSocketAddress address() {
    return (InetSocketAddress) server.localAddress();
  }

  /** Connects and waits for the greeting; the error otherwise. */
  void connect(SslContext context) throws Throwable {
    CompletableFuture<String> greeted = new CompletableFuture<>();
    new Bootstrap()
        .group(loop)
        .channel(EpollSocketChannel.class)
        .handler(
            new ChannelInitializer<Channel>() {
              @Override
              protected void initChannel(Channel channel) {
                SslHandler tls = context.newHandler(channel.alloc());
                tls.handshakeFuture()
                    .addListener(
                        done -> {
                          if (!done.isSuccess()) {
                            greeted.completeExceptionally(done.cause());
                          }
                        });
                channel.pipeline().addLast(tls, new Greeted(greeted));
              }
            })
        .connect(address())
        .sync();
    try {
      greeted.get(SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw e.getCause();
    }
  }

  @Override
  public void close() {
    server.close().syncUninterruptibly();
    loop.shutdownGracefully(0, 1, TimeUnit.SECONDS).syncUninterruptibly();
  }

  /** What goes wrong is in the handshake's future; Netty need not log it as unhandled. */
  private static final class Quiet extends ChannelInboundHandlerAdapter {
    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      ctx.close();
    }
  }

  private static final class Greeted extends SimpleChannelInboundHandler<ByteBuf> {
    private final CompletableFuture<String> greeted;

    Greeted(CompletableFuture<String> greeted) {
      this.greeted = greeted;
    }

    @Override
    protected void channelRead0(ChannelHandlerContext ctx, ByteBuf greeting) {
      greeted.complete("hello");
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      greeted.completeExceptionally(cause);
      ctx.close();
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
      greeted.completeExceptionally(new IllegalStateException("closed before the greeting"));
    }
  }
}
