package dev.exile.sockets;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.util.ReferenceCountUtil;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The end of a carrier's pipeline: logs what broke the connection and drops frames that concern no
 * stream.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class CarrierErrors extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(CarrierErrors.class);

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    ReferenceCountUtil.release(message);
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    log.warn(
        "carrier connection with {} broke: {}", ctx.channel().remoteAddress(), cause.toString());
    ctx.close();
  }
}
