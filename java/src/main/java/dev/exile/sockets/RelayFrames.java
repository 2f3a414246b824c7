package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.handler.codec.http2.DefaultHttp2ResetFrame;
import io.netty.handler.codec.http2.DefaultHttp2UnknownFrame;
import io.netty.handler.codec.http2.Http2Flags;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2UnknownFrame;

/**
 * The frames of a relayed stream beside DATA: HTTP/2 extension frames of our own (RFC 9113, section
 * 5.5). They are not subject to flow control and may overtake DATA, so each carries an offset into
 * the bytes of its direction, counted from the connection's beginning at the freeze, 8 bytes.
 *
 * <pre>
 *   ACK    so many bytes have been taken by this side's kernel; after an END, one more: it is done
 *   END    the sender's direction ends at this offset (FIN)
 *   RESET  the connection broke at the sender, whose bytes before this offset are still to arrive
 * </pre>
 *
 * <p>Only home closes a stream for good, with RST_STREAM and a code of its own, {@link #OVER}: the
 * connection is over and may be forgotten. A stream that ends in any other way is lost, and its
 * connection waits for another one.
 */
final class RelayFrames {
  static final byte ACK = (byte) 0xE1;
  static final byte END = (byte) 0xE2;
  static final byte RESET = (byte) 0xE3;
  private static final long OVER = 0xE0;

  private RelayFrames() {}

  static Http2UnknownFrame frame(byte type, long offset, ByteBufAllocator allocator) {
    ByteBuf content = allocator.directBuffer(Long.BYTES, Long.BYTES).writeLong(offset);
    return new DefaultHttp2UnknownFrame(type, new Http2Flags(), content);
  }

  /** The offset in a frame, or -1 where it has none that makes sense. */
  static long offset(Http2UnknownFrame frame) {
    return frame.content().readableBytes() == Long.BYTES ? frame.content().readLong() : -1;
  }

  static Http2ResetFrame over() {
    return new DefaultHttp2ResetFrame(OVER);
  }

  static boolean isOver(Http2ResetFrame reset) {
    return reset.errorCode() == OVER;
  }
}
