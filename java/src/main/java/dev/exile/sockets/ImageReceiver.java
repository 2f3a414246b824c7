package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.DefaultHttp2WindowUpdateFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Receives one file of one stream. The disk is written on an executor of its own, and window credit
 * is returned only for what is written: a slow disk slows its sender and nothing else. At most
 * {@link Tuning#IMAGE_WINDOW} bytes are held.
 *
 * <p>"Complete" means: all announced bytes are written and the file is closed. It is not synced to
 * the disk: images are of no use once this host has crashed.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class ImageReceiver extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(ImageReceiver.class);

  private final Http2StreamChannel stream;
  private final Path path;
  private final long size;
  private final Executor disk;

  // On the event loop.
  private List<ByteBuf> batch = new ArrayList<>();
  private boolean ended;

  // On the disk's executor.
  private FileChannel file;
  private long written;
  private boolean over;

  /**
   * @param path the file to create; its name is known to be harmless
   * @param size bytes announced
   * @param disk runs one task after the other
   */
  ImageReceiver(Http2StreamChannel stream, Path path, long size, Executor disk) {
    this.stream = stream;
    this.path = path;
    this.size = size;
    this.disk = disk;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    disk.execute(this::create);
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    if (message instanceof Http2DataFrame data) {
      batch.add(data.content());
      ended |= data.isEndStream();
    } else {
      ReferenceCountUtil.release(message);
    }
  }

  @Override
  public void channelReadComplete(ChannelHandlerContext ctx) {
    List<ByteBuf> full = batch;
    boolean last = ended;
    batch = new ArrayList<>();
    disk.execute(() -> write(full, last));
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
    if (event instanceof Http2ResetFrame) {
      disk.execute(() -> discard("the sender gave up"));
    }
    ReferenceCountUtil.release(event);
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    batch.forEach(ReferenceCountUtil::release);
    disk.execute(() -> discard("the carrier was lost"));
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    disk.execute(() -> fail(500, cause.toString()));
  }

  private void create() {
    try {
      file =
          FileChannel.open(
              path,
              EnumSet.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
              PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    } catch (FileAlreadyExistsException e) {
      answer(CarrierProtocol.Answer.refused(409, "there is already a file " + path));
    } catch (IOException e) {
      answer(CarrierProtocol.Answer.refused(507, "cannot create " + path + ": " + e));
    }
  }

  private void write(List<ByteBuf> buffers, boolean last) {
    try {
      if (over) {
        return;
      }
      int length = buffers.stream().mapToInt(ByteBuf::readableBytes).sum();
      if (written + length > size) {
        fail(400, "more than the announced " + size + " bytes");
        return;
      }
      writeFully(buffers);
      written += length;
      if (last) {
        complete();
      } else if (length > 0) {
        stream.writeAndFlush(new DefaultHttp2WindowUpdateFrame(length));
      }
    } catch (IOException e) {
      fail(507, "cannot write " + path + ": " + e.getMessage());
    } finally {
      buffers.forEach(ReferenceCountUtil::release);
    }
  }

  private void writeFully(List<ByteBuf> buffers) throws IOException {
    ByteBuffer[] pieces =
        buffers.stream()
            .flatMap(buffer -> java.util.Arrays.stream(buffer.nioBuffers()))
            .toArray(ByteBuffer[]::new);
    int first = 0;
    while (first < pieces.length) {
      if (pieces[first].hasRemaining()) {
        file.write(pieces, first, pieces.length - first);
      } else {
        first++;
      }
    }
  }

  private void complete() throws IOException {
    if (written != size) {
      fail(400, "only " + written + " of " + size + " bytes came");
      return;
    }
    file.close();
    answer(CarrierProtocol.Answer.OK);
  }

  private void fail(int status, String reason) {
    if (!over) {
      log.warn("image {} refused: {}", path, reason);
      remove();
      answer(CarrierProtocol.Answer.refused(status, reason));
    }
  }

  private void discard(String reason) {
    if (!over) {
      log.warn("image {} is incomplete and removed: {}", path, reason);
      over = true;
      remove();
    }
  }

  private void remove() {
    if (file == null) {
      return;
    }
    try {
      file.close();
      Files.deleteIfExists(path);
    } catch (IOException e) {
      log.warn("cannot remove the incomplete image {}", path, e);
    }
  }

  private void answer(CarrierProtocol.Answer answer) {
    over = true;
    stream
        .writeAndFlush(new DefaultHttp2HeadersFrame(answer.headers(), true))
        .addListener(future -> stream.close());
  }
}
