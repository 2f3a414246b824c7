package dev.exile.sockets;

import dev.exile.linux.Inet;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.IoEventLoop;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One relayed connection on one host, as long as it has a stream: a parked socket joined to a
 * stream of the carrier. Home and destination use the same.
 *
 * <pre>
 *   socket                          stream
 *   bytes            ------->       DATA         paused while the stream has too much to send
 *   dropped          <-------       ACK          out of the socket only once the other host has them
 *   FIN              ------->       END
 *   RST, error       ------->       RESET        after what was read before it
 *   bytes            <-------       DATA         window credit is returned as the kernel takes the bytes
 *   shutdown(WR)     <-------       END          after all bytes
 *   RST              <-------       RESET        after all bytes before it
 * </pre>
 *
 * <p>A reset waits for the bytes before it, as on the wire it would arrive behind them, but for
 * {@link TcpSocket#GRACE_MILLIS} at most. There is no other timeout.
 *
 * <p>Nothing of a splice has to survive: when its stream is lost, or its agent dies, the socket
 * stays parked as it is, and the next splice goes on from what the kernel knows of it. Memory: see
 * {@link Tuning}. All methods run on the stream's event loop.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class Splice implements TcpSocket.Listener {
  private static final Logger log = LoggerFactory.getLogger(Splice.class);

  private final Http2StreamChannel stream;
  private final String name;
  private final RelayCounters counters;
  private final FeltConnection felt;
  private final Owner owner;
  private final WriteQueue queue = new WriteQueue(PooledByteBufAllocator.DEFAULT);
  private Park.Parked parked;
  private TcpSocket socket;
  private Upflow up;
  private Downflow down;

  /** The socket's connection is no more. */
  private boolean broken;

  private boolean resetSent;

  /** Where the other host's RESET stands among its bytes; -1 before it has come. */
  private long resetAt = -1;

  private boolean done;

  /** What becomes of a splice. Called on its event loop. */
  interface Owner {
    /** The other host has answered the request. */
    default void answered(Splice splice, CarrierProtocol.Answer answer) {}

    /** The connection has ended, in order or by a reset, and the other host knows. */
    default void over(Splice splice) {}

    /** The other host says that the connection is over. */
    default void toldOver(Splice splice) {}

    /** The stream is gone. The socket is parked as it is. */
    void lost(Splice splice);
  }

  /**
   * @param felt what is felt of it at home; null where nobody asks
   */
  Splice(
      Http2StreamChannel stream,
      String name,
      RelayCounters counters,
      FeltConnection felt,
      Owner owner) {
    this.stream = stream;
    this.name = name;
    this.counters = counters;
    this.felt = felt;
    this.owner = owner;
    // Until there is a socket.
    stream.config().setAutoRead(false);
  }

  String name() {
    return name;
  }

  Http2StreamChannel stream() {
    return stream;
  }

  IoEventLoop loop() {
    return (IoEventLoop) stream.eventLoop();
  }

  /** Whether its socket is still on its way to be connected. */
  boolean isConnecting() {
    return !done && !broken && socket.isConnecting();
  }

  /** Whether the stream is lost, or the connection over. */
  boolean isDone() {
    return done;
  }

  // ---- The beginning. ----

  /** Takes its socket, and does not touch it yet. */
  void take(Park.Parked taken, Offsets at) {
    parked = taken;
    log.debug("{}: begins at {}", name, at);
    socket = new TcpSocket(taken.fd(), loop(), queue, this);
    up = new Upflow(stream, socket, at.consumed());
    down = new Downflow(stream, queue, socket, at.written(), at.shut());
  }

  /**
   * The other host has so many of our bytes, the end counted as one more; known before anything is
   * sent.
   *
   * @return false where that cannot be; the connection is reset then
   */
  boolean resume(long position, Offsets at) {
    try {
      up.resume(position, at.available());
      return true;
    } catch (IOException e) {
      log.error("{}: cannot go on, the connection is reset: {}", name, e.getMessage());
      breakOff();
      return false;
    }
  }

  /** Begins to relay; the socket is connected, or on its way to be. */
  void open(Offsets at) {
    if (!done) {
      if (felt != null) {
        felt.opened(up.consumed(), at.received(), System.nanoTime());
      }
      stream.config().setAutoRead(true);
      socket.open(at.pending());
    }
  }

  /** The same with a socket that is to be connected; a refusal resets the connection. */
  void connect(InetSocketAddress target) {
    if (!done) {
      stream.config().setAutoRead(true);
      socket.connect(target);
    }
  }

  /** Hears from the stream, while the socket is not touched yet. */
  void listen() {
    stream.config().setAutoRead(true);
  }

  // ---- What comes from the stream. ----

  void streamAnswered(CarrierProtocol.Answer answer) {
    if (!done) {
      owner.answered(this, answer);
    }
  }

  /** Takes the buffer. */
  void streamData(ByteBuf data) {
    if (done || broken || up == null) {
      data.release();
      return;
    }
    counters.fromCarrier.add(data.readableBytes());
    down.data(data);
  }

  void streamFrame(byte type, long offset) {
    if (done || up == null) {
      return;
    }
    try {
      switch (type) {
        case RelayFrames.ACK -> {
          up.acknowledged(offset);
          if (felt != null) {
            felt.delivered(up.consumed(), System.nanoTime());
          }
          overIfDone();
        }
        case RelayFrames.END -> {
          if (!broken) {
            down.end(offset);
            overIfDone();
          }
        }
        case RelayFrames.RESET -> streamReset(offset);
        default -> log.debug("{}: a frame of type {} is passed over", name, type);
      }
    } catch (IOException e) {
      log.error("{}: the connection is reset: {}", name, e.getMessage());
      breakOff();
    }
  }

  private void streamReset(long offset) {
    if (resetAt >= 0) {
      return;
    }
    countReset();
    resetAt = offset;
    if (broken) {
      overIfDone();
      return;
    }
    socket.pauseReading();
    if (down.hasTaken(offset)) {
      breakOff();
    } else {
      loop().schedule(this::breakOff, TcpSocket.GRACE_MILLIS, TimeUnit.MILLISECONDS);
    }
  }

  void streamReadComplete() {
    if (socket != null && !done && !broken) {
      socket.flush();
    }
  }

  void streamWritable() {
    if (socket != null && stream.isWritable() && resetAt < 0) {
      socket.resumeReading();
    }
  }

  void streamOver() {
    if (!done) {
      owner.toldOver(this);
    }
  }

  /** The stream is gone. */
  void streamLost() {
    if (!done) {
      log.debug("{}: its stream is lost", name);
      detach();
      owner.lost(this);
    }
  }

  // ---- What comes from the socket. ----

  @Override
  public void connected() {
    advance();
  }

  @Override
  public void received(ByteBuf data) {
    counters.toCarrier.add(data.readableBytes());
    if (felt != null) {
      felt.sent(data.readableBytes());
    }
    up.data(data);
  }

  @Override
  public void receiveComplete() {
    stream.flush();
  }

  @Override
  public void ended() {
    up.end();
    overIfDone();
  }

  @Override
  public void written(long bytes) {
    if (felt != null && bytes > 0) {
      felt.answered(bytes, System.nanoTime());
    }
    try {
      down.written(bytes);
    } catch (IOException e) {
      log.error("{}: the connection is reset: {}", name, e.getMessage());
      breakOff();
      return;
    }
    if (resetAt >= 0 && down.hasTaken(resetAt)) {
      breakOff();
    } else {
      overIfDone();
    }
  }

  private void advance() {
    try {
      down.advance();
      overIfDone();
    } catch (IOException e) {
      log.error("{}: the connection is reset: {}", name, e.getMessage());
      breakOff();
    }
  }

  @Override
  public void failed(IOException cause) {
    log.debug("{}: {}", name, cause.toString());
    setBroken();
  }

  // ---- The end. ----

  /** Resets the socket, and tells the other host. */
  void breakOff() {
    if (done || broken) {
      return;
    }
    socket.detach();
    reset(parked.fd());
    setBroken();
  }

  private void setBroken() {
    countReset();
    broken = true;
    down.close();
    if (!resetSent) {
      resetSent = true;
      stream.writeAndFlush(RelayFrames.frame(RelayFrames.RESET, up.sent(), stream.alloc()));
    }
    overIfDone();
  }

  private void countReset() {
    if (!broken && resetAt < 0) {
      counters.resets.increment();
      if (felt != null) {
        felt.wasReset(System.nanoTime());
      }
    }
  }

  private void overIfDone() {
    boolean inOrder = up.isDone() && down.isDone() && !broken;
    boolean byReset = broken && resetAt >= 0;
    if (!done && (inOrder || byReset)) {
      owner.over(this);
    }
  }

  /**
   * Lets go, and tells the other host that the connection is broken after what has been sent. The
   * socket stays as it is.
   */
  void leave() {
    if (!done && !resetSent && up != null) {
      stream.writeAndFlush(RelayFrames.frame(RelayFrames.RESET, up.sent(), stream.alloc()));
    }
    detach();
  }

  /** Lets go of socket and stream; the socket stays as it is. */
  void detach() {
    done = true;
    if (socket != null) {
      socket.detach();
      down.close();
    }
    queue.clear();
  }

  /** Ends a parked connection for good: what has not ended in order is reset. */
  static void end(Park.Parked parked) {
    try {
      if (!SocketProgress.of(parked.fd()).over()) {
        reset(parked.fd());
      }
    } catch (IOException e) {
      log.warn("{}: cannot end a connection in order: {}", parked.name(), e.getMessage());
      reset(parked.fd());
    }
  }

  private static void reset(int fd) {
    try {
      Inet.disconnect(fd);
    } catch (IOException e) {
      log.warn("cannot reset a relayed connection: {}", e.getMessage());
    }
  }
}
