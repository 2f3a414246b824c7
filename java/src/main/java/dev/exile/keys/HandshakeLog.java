package dev.exile.keys;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.handler.ssl.SslHandler;
import io.netty.util.concurrent.FastThreadLocal;
import java.net.SocketAddress;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Stands before the {@link SslHandler} of an accepted connection and logs, in one line with the
 * peer's address, why its handshake failed: no certificate, an old protocol, no TLS at all. What
 * {@link PeerTrust} refuses it logs itself; this handler tells it the address.
 */
public final class HandshakeLog extends ChannelInboundHandlerAdapter {
  private static final Logger log = LoggerFactory.getLogger(HandshakeLog.class);

  /**
   * The peer whose bytes this thread is working on. The trust manager is called from within the
   * read of the connection's event loop and is told nothing of the connection.
   */
  private static final FastThreadLocal<SocketAddress> CURRENT = new FastThreadLocal<>();

  private boolean watching;

  static Optional<SocketAddress> currentPeer() {
    return Optional.ofNullable(CURRENT.get());
  }

  @Override
  public void channelRead(ChannelHandlerContext ctx, Object message) {
    SslHandler tls = ctx.pipeline().get(SslHandler.class);
    if (tls == null) {
      ctx.fireChannelRead(message);
      return;
    }
    SocketAddress peer = ctx.channel().remoteAddress();
    if (!watching) {
      watching = true;
      tls.handshakeFuture()
          .addListener(
              handshake -> {
                if (!handshake.isSuccess() && !logged(handshake.cause())) {
                  log.warn("refused peer at {}: TLS handshake: {}", peer, why(handshake.cause()));
                }
                if (handshake.isSuccess() && ctx.pipeline().context(this) != null) {
                  ctx.pipeline().remove(this);
                }
              });
    }
    CURRENT.set(peer);
    try {
      ctx.fireChannelRead(message);
    } finally {
      CURRENT.remove();
    }
  }

  private static boolean logged(Throwable error) {
    for (Throwable e = error; e != null; e = e.getCause()) {
      if (e instanceof PeerTrust.RefusedException) {
        return true;
      }
      for (Throwable other : e.getSuppressed()) {
        if (logged(other)) {
          return true;
        }
      }
    }
    return false;
  }

  private static String why(Throwable error) {
    return error.getMessage() == null ? error.getClass().getSimpleName() : error.getMessage();
  }
}
