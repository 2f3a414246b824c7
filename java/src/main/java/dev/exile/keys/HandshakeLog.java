package dev.exile.keys;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.ssl.OpenSslCertificateException;
import io.netty.handler.ssl.SslHandler;
import java.net.SocketAddress;
import java.nio.channels.ClosedChannelException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Stands before the {@link SslHandler} of an accepted connection and logs, in one line with the
 * peer's address, why its handshake failed: another CA, an unknown name, no certificate, an old
 * protocol, no TLS at all.
 */
final class HandshakeLog extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(HandshakeLog.class);

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    // gRPC adds its SslHandler after us, but before the first byte is read.
    SslHandler tls = ctx.pipeline().get(SslHandler.class);
    if (tls != null) {
      SocketAddress peer = ctx.channel().remoteAddress();
      tls.handshakeFuture()
          .addListener(
              handshake -> {
                if (!handshake.isSuccess()) {
                  log.warn("refused peer at {}: {}", peer, why(handshake.cause()));
                }
              });
    }
    ctx.fireChannelRead(message);
    ctx.pipeline().remove(this);
  }

  private static String why(Throwable error) {
    if (error instanceof ClosedChannelException) {
      return "it closed the connection during the TLS handshake";
    }
    return refusal(error)
        .map(Throwable::getMessage)
        .orElseGet(() -> "TLS handshake: " + error.getMessage());
  }

  /**
   * What {@link PeerTrust} threw, under either provider; OpenSSL's engine keeps it among the
   * suppressed.
   */
  private static Optional<Throwable> refusal(Throwable error) {
    for (Throwable e = error; e != null; e = e.getCause()) {
      if (e instanceof OpenSslCertificateException) {
        return Optional.of(e);
      }
      for (Throwable other : e.getSuppressed()) {
        Optional<Throwable> found = refusal(other);
        if (found.isPresent()) {
          return found;
        }
      }
    }
    return Optional.empty();
  }
}
