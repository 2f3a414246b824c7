package dev.exile.sockets;

import dev.exile.linux.Inet;
import io.netty.channel.IoEvent;
import io.netty.channel.IoEventLoop;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A listening TCP socket on an event loop, edge-triggered. Accepts nothing before {@link #open};
 * connections that wait in the backlog then come first.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class TcpListener implements EpollIoHandle {
  private static final Logger log = LoggerFactory.getLogger(TcpListener.class);
  private static final EpollIoOps ACCEPT =
      EpollIoOps.valueOf(EpollIoOps.EPOLLIN.value() | EpollIoOps.EPOLLET.value());

  /** Connections accepted in a row before other sockets of the loop get their turn. */
  private static final int ACCEPTS_PER_TURN = 64;

  /** How long to wait after a failed accept: out of descriptors, mostly, and that passes. */
  private static final long RETRY_MILLIS = 100;

  private final Socket socket;
  private final IoEventLoop loop;
  private final Consumer<Socket> accepted;

  /** accept() fills in the peer's address here; it is asked for later, where needed. */
  private final byte[] address = new byte[26];

  private IoRegistration registration;
  private boolean closed;

  TcpListener(Socket socket, IoEventLoop loop, Consumer<Socket> accepted) {
    this.socket = socket;
    this.loop = loop;
    this.accepted = accepted;
  }

  /** Starts to accept. To be called on the event loop. */
  void open() throws IOException {
    Inet.setNonBlocking(socket.intValue());
    loop.register(this)
        .addListener(
            future -> {
              if (!future.isSuccess()) {
                log.error(
                    "cannot watch a listening socket: nothing will be accepted", future.cause());
                return;
              }
              registration = (IoRegistration) future.getNow();
              if (closed) {
                registration.cancel();
              } else {
                registration.submit(ACCEPT);
              }
            });
  }

  @Override
  public FileDescriptor fd() {
    return socket;
  }

  @Override
  public void handle(IoRegistration source, IoEvent event) {
    accept();
  }

  private void accept() {
    for (int i = 0; i < ACCEPTS_PER_TURN && !closed; i++) {
      int fd;
      try {
        fd = socket.accept(address);
      } catch (IOException e) {
        log.warn("accept failed, trying again in {} ms: {}", RETRY_MILLIS, e.toString());
        loop.schedule(this::accept, RETRY_MILLIS, TimeUnit.MILLISECONDS);
        return;
      }
      if (fd < 0) {
        return;
      }
      accepted.accept(new Socket(fd));
    }
    if (!closed) {
      loop.execute(this::accept);
    }
  }

  /**
   * Ends the listening, for all descriptors of the socket: connections in the backlog are reset.
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    try {
      Inet.shutdown(socket.intValue(), Inet.SHUT_RDWR);
    } catch (IOException e) {
      log.warn("cannot end a listening socket", e);
    }
    letGo();
  }

  /** Closes this descriptor only: the socket goes on listening for whoever else holds it. */
  void letGo() {
    if (closed) {
      return;
    }
    closed = true;
    if (registration != null) {
      registration.cancel();
    }
    try {
      socket.close();
    } catch (IOException e) {
      log.warn("cannot close a listening socket", e);
    }
  }
}
