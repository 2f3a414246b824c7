package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;

/**
 * One direction of a relayed connection on the host where its bytes come from: from the socket into
 * the stream. Offsets count from the connection's beginning. Bytes stay in the kernel until the
 * other host has acknowledged them.
 *
 * <p>All methods run on the stream's event loop.
 */
// A write that fails closes the stream, and that is handled where the stream ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class Upflow {
  private final Http2StreamChannel stream;
  private final TcpSocket socket;

  /** What is out of the kernel: the other host has it. */
  private long consumed;

  /** What has been given to the stream. */
  private long sent;

  /** Where the bytes end; -1 while that is not known. */
  private long end = -1;

  /** Whether the other host knows of the end and has obeyed it. */
  private boolean endKnown;

  /**
   * @param consumed what a former reader has taken out for good
   */
  Upflow(Http2StreamChannel stream, TcpSocket socket, long consumed) {
    this.stream = stream;
    this.socket = socket;
    this.consumed = consumed;
    this.sent = consumed;
  }

  /** The offset with which the stream begins. */
  long consumed() {
    return consumed;
  }

  long sent() {
    return sent;
  }

  /** Whether the other host has everything, the end too. */
  boolean isDone() {
    return end >= 0 && endKnown;
  }

  /**
   * The other host tells, before anything is sent, how much it has.
   *
   * @param position the bytes, the end counted as one more
   * @param available how many bytes the socket holds beyond those consumed
   * @throws IOException where it cannot have as much, or had more before
   */
  void resume(long position, long available) throws IOException {
    long most = consumed + available;
    if (position < consumed || position > most + 1) {
      throw new IOException(
          "the other host has %d bytes, this one %d to %d".formatted(position, consumed, most));
    }
    endKnown = position > most;
    take(Math.min(position, most));
    sent = Math.max(sent, consumed);
  }

  /** Bytes were read from the socket; the buffer is taken. */
  void data(ByteBuf data) {
    sent += data.readableBytes();
    stream.write(new DefaultHttp2DataFrame(data));
    if (!stream.isWritable()) {
      socket.pauseReading();
    }
  }

  /** The socket's peer has ended its direction. */
  void end() {
    end = sent;
    if (!endKnown) {
      stream.writeAndFlush(RelayFrames.frame(RelayFrames.END, end, stream.alloc()));
    }
  }

  /**
   * The other host's kernel has taken so much, the end counted as one more.
   *
   * @throws IOException where that has never been sent
   */
  void acknowledged(long position) throws IOException {
    long most = end < 0 ? sent : sent + 1;
    if (position > most) {
      throw new IOException(position + " bytes were acknowledged, of " + sent);
    }
    if (end >= 0 && position > end) {
      endKnown = true;
    }
    take(Math.min(position, sent));
  }

  private void take(long position) throws IOException {
    if (position > consumed) {
      socket.consume(position - consumed);
      consumed = position;
    }
  }
}
