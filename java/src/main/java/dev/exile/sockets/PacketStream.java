package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.CompositeByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.IoEventLoop;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2WindowUpdateFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.util.ReferenceCountUtil;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A stream of the carrier over which datagrams pass, both ways, as IP packets one after the other:
 * each tells its own length. What is under way when it is lost is lost, as datagrams may be; where
 * both hosts {@link #end} their part nothing is.
 *
 * <p>All methods run on the stream's event loop.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class PacketStream extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(PacketStream.class);

  private final Http2StreamChannel stream;
  private final End end;
  private final CompositeByteBuf waiting;
  private int credit;
  private boolean over;

  /** The other host has said that it sends no more; it may have to be told yet. */
  private boolean ending;

  /** What this host does with the packets. */
  interface End {
    /** A packet came; it belongs to the caller. */
    void packet(ByteBuf packet);

    /** The stream takes more again. */
    void writable();

    /** The other host has answered the request. */
    default void answered(CarrierProtocol.Answer answer) {}

    /** The other host sends no more; all that it has sent was told before. Not told of a loss. */
    default void ended() {}

    /** The stream is gone. */
    void lost();
  }

  PacketStream(Http2StreamChannel stream, End end) {
    this.stream = stream;
    this.end = end;
    this.waiting = stream.alloc().compositeBuffer(Integer.MAX_VALUE);
  }

  IoEventLoop loop() {
    return (IoEventLoop) stream.eventLoop();
  }

  /** Whether more may be written without queueing more than a stream should. */
  boolean isWritable() {
    return !over && stream.isWritable();
  }

  /** Sends a packet, whose ownership passes to the stream; to be followed by {@link #flush}. */
  void write(ByteBuf packet) {
    stream.write(new DefaultHttp2DataFrame(packet));
  }

  void flush() {
    stream.flush();
  }

  /**
   * Sends no more. Once the other host has done so, too, the stream is gone.
   *
   * @return done once all has left this agent; fails where the stream is lost before
   */
  CompletableFuture<Void> end() {
    CompletableFuture<Void> sent = new CompletableFuture<>();
    stream
        .writeAndFlush(new DefaultHttp2DataFrame(true))
        .addListener(
            written -> {
              if (written.isSuccess()) {
                sent.complete(null);
              } else {
                sent.completeExceptionally(written.cause());
              }
            });
    return sent;
  }

  /** Gives the stream up; nobody is told. */
  void close() {
    over = true;
    stream.close();
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    if (message instanceof Http2DataFrame data && !over) {
      ending |= data.isEndStream();
      credit += data.content().readableBytes();
      waiting.addComponent(true, data.content());
      return;
    }
    try {
      if (message instanceof Http2HeadersFrame headers && !over) {
        end.answered(CarrierProtocol.Answer.of(headers.headers()));
      }
    } finally {
      ReferenceCountUtil.release(message);
    }
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext ctx) {
    while (!over && waiting.readableBytes() >= UdpPacket.LENGTH_BYTES) {
      int length = UdpPacket.length(waiting);
      if (length < 0) {
        log.error("what comes over {} are no IP packets: it is closed", stream);
        stream.close();
        return;
      }
      if (waiting.readableBytes() < length) {
        break;
      }
      end.packet(waiting.readSlice(length));
    }
    waiting.discardReadComponents();
    if (ending && !over) {
      ending = false;
      end.ended();
    }
    if (credit >= Tuning.CREDIT_STEP && !over) {
      stream.writeAndFlush(new DefaultHttp2WindowUpdateFrame(credit));
      credit = 0;
    }
  }

  @Override
  public void channelWritabilityChanged(ChannelHandlerContext ctx) {
    if (isWritable()) {
      end.writable();
    }
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    waiting.release();
    if (!over) {
      over = true;
      end.lost();
    }
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    log.error("a stream of datagrams failed, another one is to take its place", cause);
    ctx.close();
  }
}
