package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.CompositeByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2WindowUpdateFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A stream of the carrier over which memory passes, in frames: a head, and content. What comes is
 * dealt with on an executor of its own, in order, and window credit is returned for what is done
 * with: who is slow slows the sender and nobody else.
 *
 * <p>{@link #send} may be called from any thread.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
public final class PageStream extends ChannelInboundHandlerAdapter {
  private static final Logger LOG = LoggerFactory.getLogger(PageStream.class);
  private static final int HEAD_BYTES = 25;

  /** Two chunks of pages. */
  private static final int MOST_CONTENT = 1 << 20;

  private final Http2StreamChannel stream;
  private final Executor executor;
  private final CompositeByteBuf waiting;
  private End end;
  private int credit;
  private volatile String lost;

  /**
   * What a frame says; what its numbers mean is its users' affair.
   *
   * @param kind what it is
   * @param process a process's number
   * @param start an address
   * @param length of a range, in bytes
   */
  public record Head(int kind, int process, long start, long length) {}

  /** What this host does with what comes; called on the executor. */
  public interface End {
    /** The stream is there; told first, on the executor. */
    default void opened() throws IOException {}

    /** A frame; its content is valid during the call. */
    void frame(Head head, ByteBuffer content) throws IOException;

    /** The stream is gone, or was refused. Told once. */
    void lost(String reason);
  }

  private record Frame(Head head, ByteBuf content) {}

  PageStream(Http2StreamChannel stream, Executor executor) {
    this.stream = stream;
    this.executor = executor;
    this.waiting = stream.alloc().compositeBuffer(Integer.MAX_VALUE);
  }

  /** Who deals with what comes; set before anything can. */
  void to(End owner) {
    end = owner;
  }

  /** Sends a frame without content. */
  public void send(Head head) throws IOException {
    send(head, ByteBuffer.allocate(0), () -> {});
  }

  /**
   * Sends a frame.
   *
   * @param sent is run once the content is not needed any more, whatever becomes of it
   * @throws IOException where the stream is lost
   */
  public void send(Head head, ByteBuffer content, Runnable sent) throws IOException {
    if (lost != null) {
      sent.run();
      throw new IOException(lost);
    }
    ByteBuf first = stream.alloc().directBuffer(HEAD_BYTES, HEAD_BYTES);
    first
        .writeByte(head.kind())
        .writeInt(head.process())
        .writeLong(head.start())
        .writeLong(head.length())
        .writeInt(content.remaining());
    ByteBuf whole = Unpooled.wrappedBuffer(first, Unpooled.wrappedBuffer(content));
    stream.writeAndFlush(new DefaultHttp2DataFrame(whole)).addListener(done -> sent.run());
  }

  /** The other host may be spoken to from now on. */
  void opened() {
    executor.execute(
        () -> {
          try {
            end.opened();
          } catch (IOException e) {
            lose("what is missing cannot be asked for: " + e.getMessage());
            stream.close();
          }
        });
  }

  /** Why it is lost; null while it is not. */
  public String lost() {
    return lost;
  }

  /** Gives it up. */
  public void close() {
    stream.close();
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    if (message instanceof Http2DataFrame data) {
      credit += data.content().readableBytes();
      waiting.addComponent(true, data.content());
      return;
    }
    if (message instanceof Http2HeadersFrame headers) {
      CarrierProtocol.Answer answer = CarrierProtocol.Answer.of(headers.headers());
      if (!answer.accepted()) {
        lose("the destination refused the pages: " + answer);
      }
    }
    ReferenceCountUtil.release(message);
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext ctx) {
    List<Frame> frames = new ArrayList<>();
    while (waiting.readableBytes() >= HEAD_BYTES) {
      int at = waiting.readerIndex();
      int size = waiting.getInt(at + HEAD_BYTES - Integer.BYTES);
      if (size < 0 || size > MOST_CONTENT) {
        lose("what comes over the stream are no pages");
        ctx.close();
        break;
      }
      if (waiting.readableBytes() < HEAD_BYTES + size) {
        break;
      }
      Head head =
          new Head(
              waiting.getByte(at),
              waiting.getInt(at + 1),
              waiting.getLong(at + 5),
              waiting.getLong(at + 13));
      waiting.skipBytes(HEAD_BYTES);
      // One piece, whatever it came in.
      frames.add(
          new Frame(head, stream.alloc().directBuffer(size, size).writeBytes(waiting, size)));
    }
    waiting.discardReadComponents();
    if (!frames.isEmpty() || credit >= Tuning.CREDIT_STEP) {
      int returned = credit;
      credit = 0;
      executor.execute(() -> deal(frames, returned));
    }
  }

  private void deal(List<Frame> frames, int returned) {
    try {
      for (Frame frame : frames) {
        if (lost == null) {
          end.frame(frame.head(), frame.content().nioBuffer());
        }
      }
      stream.writeAndFlush(new DefaultHttp2WindowUpdateFrame(returned));
    } catch (IOException | RuntimeException e) {
      lose("pages cannot be taken: " + e.getMessage());
      stream.close();
    } finally {
      frames.forEach(frame -> frame.content().release());
    }
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof Http2ResetFrame reset) {
      lose("the other host gave the pages up, code " + reset.errorCode());
    }
    ReferenceCountUtil.release(event);
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    waiting.release();
    lose("the carrier was lost");
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    lose("pages are not sent any more: " + cause);
    ctx.close();
  }

  private void lose(String reason) {
    if (lost == null) {
      LOG.info("pages pass no more: {}", reason);
      lost = reason;
      executor.execute(() -> end.lost(reason));
    }
  }
}
