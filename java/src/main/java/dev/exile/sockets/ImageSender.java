package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http2.DefaultHttp2DataFrame;
import io.netty.handler.codec.http2.DefaultHttp2WindowUpdateFrame;
import io.netty.handler.codec.http2.Http2DataFrame;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2ResetFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;

/**
 * Sends one file as one stream. A thread of its own reads it, at most {@link Tuning#FILE_AHEAD}
 * bytes ahead of the network, so that a slow disk holds up no event loop.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class ImageSender {
  private final Carrier carrier;
  private final CarrierProtocol.Target target;
  private final Path file;
  private final LongConsumer progress;
  private final CompletableFuture<Long> done = new CompletableFuture<>();
  private final Semaphore ahead = new Semaphore(Tuning.FILE_AHEAD / Tuning.FILE_CHUNK);
  private final AtomicLong sent = new AtomicLong();

  ImageSender(Carrier carrier, String migration, String name, Path file, LongConsumer progress) {
    this.carrier = carrier;
    this.target = new CarrierProtocol.Target(CarrierProtocol.Kind.IMAGE, migration, name);
    this.file = file;
    this.progress = progress;
  }

  CompletableFuture<Long> start() {
    Thread thread = new Thread(this::run, "exile-image-" + target.name());
    thread.setDaemon(true);
    thread.start();
    return done;
  }

  private void run() {
    try (FileChannel source = FileChannel.open(file, StandardOpenOption.READ)) {
      long size = source.size();
      Http2Headers headers = target.headers().setLong("content-length", size);
      Http2StreamChannel stream =
          carrier
              .open(headers, channel -> channel.pipeline().addLast(new Answers(size)))
              .sync()
              .getNow();
      try {
        send(source, size, stream);
        // From here on the answer decides; losing the stream before it is a failure too.
      } catch (IOException e) {
        fail(e);
        stream.close();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      fail(new IOException("interrupted", e));
    } catch (Throwable e) {
      // Netty throws what a stream failed with, of any kind; the migration waits for an answer.
      fail(e);
    }
  }

  private void send(FileChannel source, long size, Http2StreamChannel stream)
      throws IOException, InterruptedException {
    long left = size;
    do {
      ahead.acquire();
      if (done.isDone()) {
        return;
      }
      int length = (int) Math.min(left, Tuning.FILE_CHUNK);
      ByteBuf chunk = read(source, length, stream);
      left -= length;
      stream
          .writeAndFlush(new DefaultHttp2DataFrame(chunk, left == 0))
          .addListener(
              future -> {
                ahead.release();
                if (done.isDone()) {
                  return;
                }
                if (future.isSuccess()) {
                  progress.accept(sent.addAndGet(length));
                } else {
                  fail(future.cause());
                }
              });
    } while (left > 0);
  }

  private ByteBuf read(FileChannel source, int length, Http2StreamChannel stream)
      throws IOException {
    ByteBuf chunk = stream.alloc().directBuffer(length, length);
    while (chunk.isWritable()) {
      if (chunk.writeBytes(source, chunk.writableBytes()) < 0) {
        chunk.release();
        throw new IOException(file + " became shorter while it was sent");
      }
    }
    return chunk;
  }

  private void fail(Throwable cause) {
    String message = "cannot send " + file + " (" + target + "): " + cause.getMessage();
    done.completeExceptionally(new IOException(message, cause));
    // The reader may wait for room that will never be.
    ahead.release();
  }

  /** Waits for the destination's answer. */
  private final class Answers extends ChannelInboundHandlerAdapter {
    private final long size;

    Answers(long size) {
      this.size = size;
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
      if (message instanceof Http2HeadersFrame frame) {
        CarrierProtocol.Answer answer = CarrierProtocol.Answer.of(frame.headers());
        if (answer.accepted()) {
          progress.accept(size);
          done.complete(size);
        } else {
          fail(new IOException("the destination refused it: " + answer));
          ctx.close();
        }
      } else if (message instanceof Http2DataFrame data) {
        ctx.write(new DefaultHttp2WindowUpdateFrame(data.initialFlowControlledBytes()));
      }
      ReferenceCountUtil.release(message);
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext ctx, Object event) {
      if (event instanceof Http2ResetFrame reset) {
        fail(new IOException("the destination reset the stream, code " + reset.errorCode()));
      }
      ReferenceCountUtil.release(event);
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
      fail(new IOException("the carrier was lost"));
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
      fail(cause);
      ctx.close();
    }
  }
}
