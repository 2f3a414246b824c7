package dev.exile.sockets;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.util.ReferenceCountUtil;

/** Translates what happens on a stream for its {@link Splice}. */
final class SpliceStreamHandler extends ChannelInboundHandlerAdapter {
  private final Splice splice;

  SpliceStreamHandler(Splice splice) {
    this.splice = splice;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    if (message instanceof Http2DataFrame data) {
      splice.streamData(data.content());
      if (data.isEndStream()) {
        splice.streamEnd();
      }
    } else if (message instanceof Http2HeadersFrame headers) {
      CarrierProtocol.Answer answer = CarrierProtocol.Answer.of(headers.headers());
      if (!answer.accepted()) {
        splice.streamBroken("refused by the destination: " + answer);
      }
    } else {
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
    if (event instanceof Http2ResetFrame reset) {
      // Data frames that came before it have been delivered: the stream is always read.
      splice.streamBroken("reset by the other host, code " + reset.errorCode());
    }
    ReferenceCountUtil.release(event);
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    splice.streamReadComplete();
    splice.streamBroken("stream lost");
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    splice.streamBroken("stream failed: " + cause);
    splice.reset();
  }
}
