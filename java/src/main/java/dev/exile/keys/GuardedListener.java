package dev.exile.keys;

import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;

/**
 * Gives every connection that a listening socket accepts a {@link HandshakeLog}.
 *
 * <p>gRPC lets nobody into its pipelines, but it takes a factory for its listening channel: {@code
 * NettyServerBuilder.channelFactory(GuardedListener::open)}. A {@code ServerBootstrap} takes the
 * same.
 */
public final class GuardedListener extends ChannelInboundHandlerAdapter {
  /** A new listening epoll channel with this handler. */
  public static ServerChannel open() {
    EpollServerSocketChannel channel = new EpollServerSocketChannel();
    channel.pipeline().addFirst(new GuardedListener());
    return channel;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object accepted) {
    // The bootstrap's own handler comes later in this pipeline and adds the rest behind ours.
    ((Channel) accepted).pipeline().addLast(new HandshakeLog());
    ctx.fireChannelRead(accepted);
  }
}
