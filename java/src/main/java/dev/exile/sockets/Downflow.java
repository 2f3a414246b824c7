package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.channel.IoEventLoop;
import io.netty.handler.codec.http2.DefaultHttp2WindowUpdateFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.util.concurrent.TimeUnit;

/**
 * One direction of a relayed connection on the host where its bytes arrive: from the stream into
 * the socket. Offsets count from the connection's beginning. What the kernel has taken is
 * acknowledged, every {@link Tuning#CREDIT_STEP} bytes or a little later.
 *
 * <p>All methods run on the stream's event loop.
 */
// A write that fails closes the stream, and that is handled where the stream ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class Downflow {
  /** How long what the kernel has taken may stay unacknowledged. */
  static final long ACK_MILLIS = 10;

  private final Http2StreamChannel stream;
  private final IoEventLoop loop;
  private final WriteQueue queue;
  private final TcpSocket socket;

  /** What the kernel has taken. */
  private long written;

  /** What the other host knows of {@link #written}, and of the end. */
  private long acknowledged;

  /** Where the bytes end; -1 while that is not known. */
  private long end = -1;

  private int credit;
  private boolean shut;
  private boolean closed;
  private boolean ackPending;

  /**
   * @param written how much the kernel has taken so far
   * @param shut whether the socket's output has been shut down
   */
  Downflow(
      Http2StreamChannel stream, WriteQueue queue, TcpSocket socket, long written, boolean shut) {
    this.stream = stream;
    this.loop = (IoEventLoop) stream.eventLoop();
    this.queue = queue;
    this.socket = socket;
    this.written = written;
    this.shut = shut;
    this.acknowledged = position();
  }

  /** What has been taken, the end counted as one more. */
  long position() {
    return written + (shut ? 1 : 0);
  }

  /** Whether everything has been taken, the end too. */
  boolean isDone() {
    return shut;
  }

  /** DATA came; the buffer is taken. */
  void data(ByteBuf data) {
    queue.add(data);
  }

  /**
   * The sender's direction ends there.
   *
   * @throws IOException where more than that has come
   */
  void end(long offset) throws IOException {
    if (offset < written || (end >= 0 && end != offset)) {
      throw new IOException("the end is said to be at " + offset + ", before " + written);
    }
    end = offset;
    advance();
  }

  /** The kernel took so many bytes of the queue. */
  void written(long bytes) throws IOException {
    written += bytes;
    returnCredit((int) bytes);
    advance();
  }

  /** Ends the socket's output once all is written. */
  void advance() throws IOException {
    // Shutting down a socket that still connects would break it off.
    if (end == written && !shut && !socket.isConnecting()) {
      socket.shutdownOutput();
      shut = true;
    }
    if (position() - acknowledged >= Tuning.CREDIT_STEP || (shut && acknowledged != position())) {
      acknowledge();
    } else if (acknowledged != position() && !ackPending) {
      ackPending = true;
      loop.schedule(this::acknowledgeLate, ACK_MILLIS, TimeUnit.MILLISECONDS);
    }
  }

  /** Whether all bytes before that offset have been taken. */
  boolean hasTaken(long offset) {
    return written >= offset;
  }

  private void acknowledgeLate() {
    ackPending = false;
    if (!closed && acknowledged != position()) {
      acknowledge();
    }
  }

  private void acknowledge() {
    acknowledged = position();
    stream.writeAndFlush(RelayFrames.frame(RelayFrames.ACK, acknowledged, stream.alloc()));
  }

  private void returnCredit(int bytes) {
    credit += bytes;
    if (credit >= Tuning.CREDIT_STEP) {
      stream.write(new DefaultHttp2WindowUpdateFrame(credit));
      stream.flush();
      credit = 0;
    }
  }

  /** No acknowledgement follows. */
  void close() {
    closed = true;
  }
}
