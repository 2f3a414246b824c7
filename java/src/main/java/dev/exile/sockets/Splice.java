package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.ChannelFuture;
import io.netty.channel.IoEventLoop;
import io.netty.channel.unix.Socket;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2ResetFrame;
import io.netty.handler.codec.http2.DefaultHttp2WindowUpdateFrame;
import io.netty.handler.codec.http2.Http2Error;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One relayed connection on one host: a TCP socket joined to a stream of the carrier. Home and
 * destination use the same.
 *
 * <pre>
 *   socket                          stream
 *   bytes            ------->       DATA         paused while the stream has too much to send
 *   FIN              ------->       END_STREAM
 *   RST, error       ------->       RST_STREAM   after what was read before it
 *   bytes            <-------       DATA         window credit is returned as the kernel takes the bytes
 *   shutdown(WR)     <-------       END_STREAM   after all bytes
 *   RST              <-------       RST_STREAM, or the stream lost without END_STREAM
 * </pre>
 *
 * <p>A reset waits for the bytes before it, as on the wire it would arrive behind them, but for
 * {@link #RESET_GRACE_MILLIS} at most: a reader that has stopped does not keep a broken connection.
 * There is no other timeout.
 *
 * <p>The socket may be attached after the stream has begun; until then at most one stream window is
 * held. Memory: see {@link Tuning}. All methods run on the stream's event loop.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class Splice implements TcpSocket.Listener {
  static final long RESET_GRACE_MILLIS = 2_000;

  private static final Logger log = LoggerFactory.getLogger(Splice.class);

  private final Http2StreamChannel stream;
  private final String socketName;
  private final String name;
  private final RelayCounters counters;
  private final Consumer<Splice> onOver;
  private final WriteQueue queue = new WriteQueue(PooledByteBufAllocator.DEFAULT);
  private TcpSocket socket;
  private ChannelFuture lastWrite;
  private int credit;
  private boolean streamEnded;
  private boolean socketEnded;
  private boolean endWritten;
  private boolean outputShut;

  /** The stream broke: what is queued is still delivered, then the socket is reset. */
  private boolean aborting;

  private boolean over;

  Splice(
      Http2StreamChannel stream,
      String socketName,
      String name,
      RelayCounters counters,
      Consumer<Splice> onOver) {
    this.socketName = socketName;
    this.stream = stream;
    this.name = name;
    this.counters = counters;
    this.onOver = onOver;
    counters.opened.increment();
  }

  String socketName() {
    return socketName;
  }

  IoEventLoop loop() {
    return (IoEventLoop) stream.eventLoop();
  }

  /** Joins the connected socket; its pending error, EOF and bytes are relayed from now on. */
  void attach(Socket connected) {
    TcpSocket joined = new TcpSocket(connected, loop(), queue, this);
    if (over) {
      joined.reset();
      return;
    }
    socket = joined;
    socket.open();
    // The stream may have ended, without any bytes to write, before there was a socket.
    afterWrite();
  }

  /** Connects a new socket and joins it; a refusal resets the stream. */
  void connect(Socket unconnected, InetSocketAddress target) {
    if (over) {
      // Home's client has reset it before we came to connect.
      new TcpSocket(unconnected, loop(), queue, this).close();
      return;
    }
    socket = new TcpSocket(unconnected, loop(), queue, this);
    socket.connect(target);
  }

  // What comes from the stream.

  /** Takes the buffer. */
  void streamData(ByteBuf data) {
    if (over || aborting) {
      data.release();
      return;
    }
    counters.fromCarrier.add(data.readableBytes());
    queue.add(data);
  }

  void streamEnd() {
    streamEnded = true;
  }

  void streamReadComplete() {
    if (socket != null && !over) {
      socket.flush();
      afterWrite();
    }
  }

  void streamWritable() {
    if (socket != null && stream.isWritable()) {
      socket.resumeReading();
    }
  }

  /** RST_STREAM arrived, or the stream is gone. */
  void streamBroken(String reason) {
    if (over || aborting || (streamEnded && endWritten)) {
      return;
    }
    log.debug("{}: {}", name, reason);
    counters.resets.increment();
    aborting = true;
    if (socket != null) {
      socket.pauseReading();
    }
    if (socket == null || queue.isEmpty()) {
      abort();
    } else {
      loop().schedule(this::abort, RESET_GRACE_MILLIS, TimeUnit.MILLISECONDS);
    }
  }

  private void abort() {
    if (over) {
      return;
    }
    if (socket != null) {
      socket.reset();
    } else {
      queue.clear();
    }
    finish();
  }

  // What comes from the socket.

  @Override
  public void connected() {
    afterWrite();
  }

  @Override
  public void received(ByteBuf data) {
    counters.toCarrier.add(data.readableBytes());
    lastWrite = stream.write(new DefaultHttp2DataFrame(data));
    if (!stream.isWritable()) {
      socket.pauseReading();
    }
  }

  @Override
  public void receiveComplete() {
    stream.flush();
  }

  @Override
  public void ended() {
    socketEnded = true;
    lastWrite = stream.writeAndFlush(new DefaultHttp2DataFrame(true));
    lastWrite.addListener(
        future -> {
          endWritten = future.isSuccess();
          finishIfDone();
        });
  }

  @Override
  public void written(long bytes) {
    credit += (int) bytes;
    if (credit >= Tuning.CREDIT_STEP && !streamEnded) {
      stream.writeAndFlush(new DefaultHttp2WindowUpdateFrame(credit));
      credit = 0;
    }
    afterWrite();
  }

  private void afterWrite() {
    // Shutting down a socket that still connects would break it off.
    if (!queue.isEmpty() || over || socket.isConnecting()) {
      return;
    }
    if (aborting) {
      abort();
    } else if (streamEnded && !outputShut) {
      outputShut = true;
      socket.shutdownOutput();
      finishIfDone();
    }
  }

  @Override
  public void failed(IOException cause) {
    if (over) {
      return;
    }
    log.debug("{}: {}", name, cause.toString());
    if (!aborting) {
      counters.resets.increment();
    }
    finish();
    resetStreamAfterLastWrite();
  }

  private void resetStreamAfterLastWrite() {
    if (lastWrite == null || lastWrite.isDone()) {
      resetStream();
    } else {
      lastWrite.addListener(future -> resetStream());
      loop().schedule(this::resetStream, RESET_GRACE_MILLIS, TimeUnit.MILLISECONDS);
    }
  }

  private void resetStream() {
    if (stream.isActive()) {
      stream.writeAndFlush(new DefaultHttp2ResetFrame(Http2Error.CANCEL));
    }
  }

  /** Ends the connection now: RST to both sides. */
  void reset() {
    if (over) {
      return;
    }
    counters.resets.increment();
    abort();
    resetStream();
  }

  private void finishIfDone() {
    if (socketEnded && outputShut && !over) {
      socket.close();
      if (endWritten) {
        finish();
      }
    }
  }

  private void finish() {
    over = true;
    counters.closed.increment();
    onOver.accept(this);
  }
}
