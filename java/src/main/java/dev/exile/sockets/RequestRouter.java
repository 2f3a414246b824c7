package dev.exile.sockets;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http2.DefaultHttp2HeadersFrame;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.codec.http2.Http2Headers;
import io.netty.handler.codec.http2.Http2HeadersFrame;
import io.netty.handler.codec.http2.Http2StreamChannel;
import io.netty.util.ReferenceCountUtil;
import java.util.concurrent.Executor;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads the request of an arriving stream, refuses it or puts the right handler in its own place.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class RequestRouter extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(RequestRouter.class);

  private final Http2StreamChannel stream;
  private final String peerName;
  private final Function<String, CarrierServer.Registration> migrations;
  private final Executor writer;

  RequestRouter(
      Http2StreamChannel stream,
      String peerName,
      Function<String, CarrierServer.Registration> migrations,
      Executor writer) {
    this.stream = stream;
    this.peerName = peerName;
    this.migrations = migrations;
    this.writer = writer;
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) throws Exception {
    if (!(message instanceof Http2HeadersFrame frame)) {
      // Data of a refused stream that was on its way.
      ReferenceCountUtil.release(message);
      return;
    }
    CarrierProtocol.Target target = CarrierProtocol.Target.of(frame.headers()).orElse(null);
    CarrierServer.Registration migration =
        target == null ? null : migrations.apply(target.migration());
    if (target == null) {
      refuse(400, "bad request " + frame.headers().method() + " " + frame.headers().path());
    } else if (migration == null) {
      refuse(404, "no such migration: " + target.migration());
    } else if (!migration.peerName().equals(peerName)) {
      refuse(403, "migration " + target.migration() + " is not " + peerName + "'s");
    } else if (target.kind() == CarrierProtocol.Kind.IMAGE) {
      image(ctx, target, migration, frame);
    } else if (target.kind() == CarrierProtocol.Kind.DATAGRAMS) {
      datagrams(ctx, target, migration);
    } else if (target.kind() == CarrierProtocol.Kind.PAGES) {
      pages(ctx, target, migration);
    } else {
      socket(ctx, target, migration, frame.headers());
    }
  }

  private void image(
      ChannelHandlerContext ctx,
      CarrierProtocol.Target target,
      CarrierServer.Registration migration,
      Http2HeadersFrame frame)
      throws Http2Exception {
    long size = frame.headers().getLong("content-length", -1);
    if (!target.isImageName()) {
      refuse(400, "bad image name " + target.name());
    } else if (size < 0 || frame.isEndStream()) {
      refuse(400, "image " + target.name() + " has no size or no content");
    } else if (!migration.reserve(size)) {
      refuse(413, size + " bytes of " + target.name() + " exceed what this migration may send");
    } else {
      CarrierTransport.enlargeWindow(stream, Tuning.IMAGE_WINDOW);
      ctx.pipeline()
          .replace(
              this,
              null,
              new ImageReceiver(
                  stream, migration.imageDirectory().resolve(target.name()), size, writer));
    }
  }

  private void datagrams(
      ChannelHandlerContext ctx,
      CarrierProtocol.Target target,
      CarrierServer.Registration migration) {
    DestinationDatagrams datagrams = migration.datagrams().get();
    if (datagrams == null || !datagrams.join(stream)) {
      refuse(409, "migration " + target.migration() + " has no UDP sockets here");
    } else {
      ctx.pipeline().remove(this);
      stream.writeAndFlush(
          new DefaultHttp2HeadersFrame(CarrierProtocol.Answer.OK.headers(), false));
    }
  }

  private void pages(
      ChannelHandlerContext ctx,
      CarrierProtocol.Target target,
      CarrierServer.Registration migration)
      throws Http2Exception {
    Function<PageStream, PageStream.End> owner = migration.pages().get();
    if (owner == null) {
      refuse(409, "migration " + target.migration() + " takes no pages here");
      return;
    }
    CarrierTransport.enlargeWindow(stream, Tuning.IMAGE_WINDOW);
    PageStream pages = new PageStream(stream, writer);
    pages.to(owner.apply(pages));
    ctx.pipeline().replace(this, null, pages);
    stream.writeAndFlush(new DefaultHttp2HeadersFrame(CarrierProtocol.Answer.OK.headers(), false));
    pages.opened();
  }

  private void socket(
      ChannelHandlerContext ctx,
      CarrierProtocol.Target target,
      CarrierServer.Registration migration,
      Http2Headers headers) {
    DestinationRelay relay = migration.relay();
    if (target.kind() == CarrierProtocol.Kind.SYNC && DestinationRelay.isTurnedAway(stream)) {
      refuse(409, "not all streams of " + target.migration() + " were taken: open them again");
    } else if (!target.isSocketName()) {
      refuse(400, "bad socket name " + target.name());
    } else if (relay == null) {
      refuse(409, "migration " + target.migration() + " relays no sockets");
    } else if (target.kind() == CarrierProtocol.Kind.SYNC) {
      relay.sync(stream.parent(), CarrierProtocol.session(headers));
      stream.writeAndFlush(new DefaultHttp2HeadersFrame(CarrierProtocol.Answer.OK.headers(), true));
    } else {
      log.debug("{} from {}", target, headers.get(CarrierProtocol.REMOTE_ADDRESS));
      ctx.pipeline().remove(this);
      relay.open(stream, target.name(), CarrierProtocol.Opening.of(headers));
    }
  }

  private void refuse(int status, String reason) {
    log.warn("stream from {} refused: {}", peerName, reason);
    DestinationRelay.turnAway(stream);
    stream
        .writeAndFlush(
            new DefaultHttp2HeadersFrame(
                CarrierProtocol.Answer.refused(status, reason).headers(), true))
        .addListener(future -> stream.close());
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    log.warn("stream from {} failed: {}", peerName, cause.toString());
    ctx.close();
  }
}
