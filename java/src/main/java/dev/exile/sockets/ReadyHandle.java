package dev.exile.sockets;

import io.netty.channel.IoEvent;
import io.netty.channel.IoEventLoop;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.unix.FileDescriptor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has an event loop watch a descriptor, edge-triggered, for something to read. The descriptor
 * belongs to somebody else.
 */
// A registration that fails is told of by its listener.
@SuppressWarnings("FutureReturnValueIgnored")
final class ReadyHandle implements EpollIoHandle {
  private static final Logger log = LoggerFactory.getLogger(ReadyHandle.class);
  private static final EpollIoOps READ =
      EpollIoOps.valueOf(EpollIoOps.EPOLLIN.value() | EpollIoOps.EPOLLET.value());

  private final FileDescriptor fd;
  private final Runnable ready;
  private IoRegistration registration;
  private boolean detached;

  /**
   * @param ready run on the event loop, for what is there already, too
   */
  ReadyHandle(int fd, Runnable ready) {
    this.fd = new FileDescriptor(fd);
    this.ready = ready;
  }

  /** Begins. */
  void watch(IoEventLoop loop) {
    loop.register(this)
        .addListener(
            future -> {
              if (!future.isSuccess()) {
                log.error("descriptor {} cannot be watched", fd.intValue(), future.cause());
                return;
              }
              registration = (IoRegistration) future.getNow();
              if (detached) {
                registration.cancel();
              } else {
                registration.submit(READ);
              }
            });
  }

  /** Ends it; on the event loop. */
  void detach() {
    detached = true;
    if (registration != null) {
      registration.cancel();
    }
  }

  @Override
  public FileDescriptor fd() {
    return fd;
  }

  @Override
  public void handle(IoRegistration source, IoEvent event) {
    if (!detached) {
      ready.run();
    }
  }

  @Override
  public void close() {
    detached = true;
  }
}
