package dev.exile.sockets;

import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.codec.http2.Http2Exception;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;
import java.io.IOException;
import java.net.SocketAddress;
import javax.net.ssl.SSLSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Waits for the TLS handshake of a carrier connection and judges its outcome; the next layer is
 * added only then.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class Handshake extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(Handshake.class);

  /** What follows the handshake. */
  interface Next {
    /** The peer is authenticated under this name. */
    void authenticated(Channel channel, String peerName) throws IOException, Http2Exception;

    /** The handshake failed or was refused; the channel is being closed. */
    void refused(Throwable cause);
  }

  private final Next next;
  private SocketAddress remote;
  private boolean decided;

  Handshake(Next next) {
    this.next = next;
  }

  @Override
  public void handlerAdded(ChannelHandlerContext ctx) {
    remote = ctx.channel().remoteAddress();
  }

  @Override
  public void userEventTriggered(ChannelHandlerContext ctx, Object event) throws Exception {
    if (event instanceof SslHandshakeCompletionEvent completion) {
      if (completion.isSuccess()) {
        succeeded(ctx);
      } else {
        refuse(ctx, completion.cause());
      }
    }
    ctx.fireUserEventTriggered(event);
  }

  private void succeeded(ChannelHandlerContext ctx) throws Http2Exception {
    SslHandler tls = ctx.pipeline().get(SslHandler.class);
    SSLSession session = tls.engine().getSession();
    if (!session.getProtocol().equals("TLSv1.3")) {
      refuse(ctx, new IOException("the peer speaks " + session.getProtocol() + ", not TLSv1.3"));
      return;
    }
    if (!"h2".equals(tls.applicationProtocol())) {
      refuse(ctx, new IOException("the peer does not speak HTTP/2"));
      return;
    }
    String name = PeerName.of(session).orElse(null);
    if (name == null) {
      refuse(ctx, new IOException("the peer's certificate has no name"));
      return;
    }
    try {
      next.authenticated(ctx.channel(), name);
    } catch (IOException e) {
      refuse(ctx, e);
      return;
    }
    decided = true;
    ctx.pipeline().remove(this);
  }

  private void refuse(ChannelHandlerContext ctx, Throwable cause) {
    if (decided) {
      return;
    }
    decided = true;
    Throwable root = cause;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    SocketAddress address = ctx.channel().remoteAddress();
    log.warn(
        "carrier connection with {} refused: {}",
        address == null ? remote : address,
        root.toString());
    next.refused(cause);
    ctx.close();
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
    refuse(ctx, cause.getCause() == null ? cause : cause.getCause());
  }

  @Override
  public void channelInactive(ChannelHandlerContext ctx) {
    refuse(ctx, new IOException("connection closed during the TLS handshake"));
    ctx.fireChannelInactive();
  }
}
