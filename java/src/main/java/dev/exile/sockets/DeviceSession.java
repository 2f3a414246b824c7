package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.unix.FileDescriptor;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What passes between the device of a migration's UDP sockets and one stream of a carrier, on its
 * event loop.
 */
// A session that cannot begin or end is one whose loop is being shut down.
@SuppressWarnings("FutureReturnValueIgnored")
final class DeviceSession implements PacketStream.End {
  private static final Logger log = LoggerFactory.getLogger(DeviceSession.class);

  private static final int READS_PER_TURN = 64;

  /** Within this time what has waited for room in the device's queue is in it. */
  private static final long QUEUE_MILLIS = 2;

  private final String migration;
  private final PacketStream stream;
  private final FileDescriptor tun;
  private final Set<Integer> ports;
  private final Consumer<DeviceSession> lost;
  private final ReadyHandle handle;
  private final CompletableFuture<Void> finished = new CompletableFuture<>();
  private boolean readable;
  private boolean over;

  /** Home sends no more. */
  private boolean heard;

  /** The process sends no more. */
  private boolean finishing;

  /** What was in the device's queue since {@link #finishing} has been read. */
  private boolean emptied;

  /**
   * @param fd the device, which belongs to somebody else
   * @param ports local ports of the process's sockets
   * @param lost told when the stream is lost
   */
  DeviceSession(
      String migration,
      Http2StreamChannel channel,
      int fd,
      Set<Integer> ports,
      Consumer<DeviceSession> lost) {
    this.migration = migration;
    this.ports = ports;
    this.lost = lost;
    stream = new PacketStream(channel, this);
    channel.pipeline().addLast(stream);
    tun = new FileDescriptor(fd);
    handle = new ReadyHandle(fd, this::ready);
  }

  /** Begins once nobody else touches the device any more. */
  void beginAfter(CompletableFuture<Void> others) {
    others.thenRunAsync(this::begin, stream.loop());
  }

  private void begin() {
    if (!over) {
      handle.watch(stream.loop());
    }
  }

  /** Done once it does not touch the device any more. A home that has ended its part is told. */
  CompletableFuture<Void> leave() {
    return CompletableFuture.runAsync(this::leaveNow, stream.loop());
  }

  /** The same, but nothing happens unless home has ended its part. */
  CompletableFuture<Void> leaveIfHeard() {
    return CompletableFuture.runAsync(
        () -> {
          if (heard) {
            leaveNow();
          }
        },
        stream.loop());
  }

  private void leaveNow() {
    boolean before = over;
    detach();
    if (heard && !before) {
      stream.end();
    } else if (!heard) {
      stream.close();
    }
  }

  private void detach() {
    if (!over) {
      over = true;
      handle.detach();
    }
  }

  /**
   * The process, which stands still, goes elsewhere: what it has sent goes home.
   *
   * @return done once that is on its way, all that home had for the process is in the process's
   *     queues, and this does not touch the device any more; fails where the stream is lost before
   */
  CompletableFuture<Void> finish() {
    stream
        .loop()
        .execute(
            () -> {
              finishing = true;
              lookOnceMore();
              stream
                  .loop()
                  .schedule(
                      () -> {
                        emptied = true;
                        lookOnceMore();
                      },
                      QUEUE_MILLIS,
                      TimeUnit.MILLISECONDS);
            });
    return finished;
  }

  private void lookOnceMore() {
    readable = true;
    writable();
  }

  /** Home's part is over: nothing more comes for the process. */
  @Override
  public void ended() {
    heard = true;
    endIfFinished();
  }

  private void endIfFinished() {
    if (!finishing || !emptied || readable || !heard || over) {
      return;
    }
    detach();
    stream
        .end()
        .whenComplete(
            (sent, failure) -> {
              if (failure == null) {
                finished.complete(null);
              } else {
                finished.completeExceptionally(failure);
              }
            });
  }

  private void ready() {
    readable = true;
    writable();
  }

  @Override
  public void writable() {
    try {
      read();
    } catch (IOException e) {
      log.error("{}: datagrams of the process are not forwarded", migration, e);
      readable = false;
    }
    stream.flush();
    endIfFinished();
  }

  private void read() throws IOException {
    for (int turn = 0; readable && !over && stream.isWritable(); turn++) {
      if (turn == READS_PER_TURN) {
        stream.loop().execute(this::writable);
        return;
      }
      ByteBuf packet = PooledByteBufAllocator.DEFAULT.directBuffer(UdpPacket.MAX_BYTES);
      try {
        int got = tun.readAddress(packet.memoryAddress(), 0, UdpPacket.MAX_BYTES);
        if (got <= 0) {
          readable = false;
        } else {
          forward(packet.writerIndex(got));
        }
      } finally {
        packet.release();
      }
    }
  }

  /** The kernel says other things by a device, too, such as that it has no more use for a port. */
  private void forward(ByteBuf packet) {
    if (UdpPacket.of(packet).isPresent()) {
      int length = packet.readableBytes();
      stream.write(packet.alloc().directBuffer(length, length).writeBytes(packet));
    }
  }

  @Override
  public void packet(ByteBuf packet) {
    if (!over) {
      put(migration, tun, ports, packet);
    }
  }

  /**
   * Has the kernel deliver a packet that came for the process. Nothing but datagrams for it is let
   * into this host's kernel.
   */
  static void put(String migration, FileDescriptor tun, Set<Integer> ports, ByteBuf packet) {
    if (UdpPacket.of(packet)
        .filter(datagram -> ports.contains(datagram.destination().getPort()))
        .isEmpty()) {
      return;
    }
    ByteBuf direct = UdpPacket.inOnePiece(packet);
    try {
      tun.writeAddress(direct.memoryAddress(), direct.readerIndex(), direct.writerIndex());
    } catch (IOException e) {
      log.warn("{}: a datagram does not reach the process: {}", migration, e.getMessage());
    } finally {
      direct.release();
    }
  }

  @Override
  public void lost() {
    detach();
    finished.completeExceptionally(new IOException("the stream of datagrams is lost"));
    lost.accept(this);
  }
}
