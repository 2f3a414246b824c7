package dev.exile.sockets;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2UnknownFrame;
import io.netty.util.ReferenceCountUtil;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Translates what happens on a stream for its {@link Splice}. */
// A close that fails closes its channel all the same.
@SuppressWarnings("FutureReturnValueIgnored")
final class SpliceStreamHandler extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(SpliceStreamHandler.class);

  private final Splice splice;

  SpliceStreamHandler(Splice splice) {
    this.splice = splice;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    if (message instanceof Http2DataFrame data) {
      splice.streamData(data.content());
      return;
    }
    try {
      if (message instanceof Http2HeadersFrame headers) {
        splice.streamAnswered(CarrierProtocol.Answer.of(headers.headers()));
      } else if (message instanceof Http2UnknownFrame frame) {
        splice.streamFrame(frame.frameType(), RelayFrames.offset(frame));
      }
    } finally {
      ReferenceCountUtil.release(message);
    }
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext ctx) {
    splice.streamReadComplete();
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext ctx) {
    splice.streamWritable();
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof Http2ResetFrame reset && RelayFrames.isOver(reset)) {
      splice.streamOver();
    }
    ReferenceCountUtil.release(event);
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    splice.streamLost();
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    log.error("{}: its stream failed, another one is to take its place", splice.name(), cause);
    ctx.close();
  }
}
