package dev.exile.sockets;

import dev.exile.linux.Inet;
import io.netty.buffer.ByteBuf;
import io.netty.channel.IoEvent;
import io.netty.channel.IoEventLoop;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoEvent;
import io.netty.channel.epoll.EpollIoHandle;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.channel.unix.FileDescriptor;
import io.netty.channel.unix.IovArray;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.SocketException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A connected TCP socket on an event loop, edge-triggered.
 *
 * <p>It stands beside Netty's own channel because a relay needs what that hides. A {@code
 * EpollSocketChannel} asks for SO_ERROR as it is made (so a process that is thawed again would miss
 * it), spins at 100 % CPU or stays silent when a half-closed connection is reset (its EPOLLERR goes
 * to a reader that has ended), and says with the same event that the peer finished and that it
 * broke. Here nothing is read before {@link #open}, EOF is told from failure, and a reset is
 * noticed in every state.
 *
 * <p>All methods must be called on the event loop.
 */
// A write or close that fails closes its channel, and that is handled where the channel ends.
@SuppressWarnings("FutureReturnValueIgnored")
final class TcpSocket implements EpollIoHandle {
  /**
   * What happens to the socket. Called on its event loop; after {@link #failed} nothing more is
   * called.
   */
  interface Listener {
    /** The connection of {@link #connect} stands. */
    default void connected() {}

    /** Bytes arrived; the buffer's ownership passes to the listener. */
    void received(ByteBuf data);

    /** No more bytes for now: the moment to flush. */
    void receiveComplete();

    /** The peer has finished writing and everything before that was delivered. */
    void ended();

    /** The kernel took this many of the queued bytes. */
    void written(long bytes);

    /** The connection is broken. */
    void failed(IOException cause);
  }

  private static final Logger log = LoggerFactory.getLogger(TcpSocket.class);

  private static final EpollIoOps EVERYTHING =
      EpollIoOps.valueOf(
          EpollIoOps.EPOLLIN.value()
              | EpollIoOps.EPOLLOUT.value()
              | EpollIoOps.EPOLLRDHUP.value()
              | EpollIoOps.EPOLLET.value());

  private static final int EPOLLHUP = 0x10;

  /** Reads in a row before other sockets of the loop get their turn. */
  private static final int READS_PER_TURN = 8;

  private final Socket socket;
  private final IoEventLoop loop;
  private final WriteQueue queue;
  private final Listener listener;
  private IoRegistration registration;
  private boolean connecting;
  private boolean readable;
  private boolean writable;
  private boolean paused;
  private boolean inputOver;
  private boolean hangup;
  private boolean turnPending;
  private boolean closed;

  /**
   * An error that the kernel reports only once and that was taken from it: EOF then means failure.
   */
  private int errorTaken;

  TcpSocket(Socket socket, IoEventLoop loop, WriteQueue queue, Listener listener) {
    this.socket = socket;
    this.loop = loop;
    this.queue = queue;
    this.listener = listener;
  }

  /** Starts to read and write. Whatever state the connection is in is reported to the listener. */
  void open() {
    try {
      int fd = socket.intValue();
      Inet.setNonBlocking(fd);
      Inet.deliverAtOnce(fd);
      errorTaken = Inet.takeError(fd);
    } catch (IOException e) {
      fail(e);
      return;
    }
    register();
  }

  /** Connects first; the outcome is {@link Listener#connected} or {@link Listener#failed}. */
  void connect(InetSocketAddress target) {
    try {
      connecting = !socket.connect(target);
      Inet.deliverAtOnce(socket.intValue());
    } catch (IOException e) {
      fail(e);
      return;
    }
    if (!connecting) {
      listener.connected();
    }
    register();
  }

  private void register() {
    loop.register(this)
        .addListener(
            future -> {
              if (!future.isSuccess()) {
                fail(new IOException("cannot watch socket", future.cause()));
                return;
              }
              registration = (IoRegistration) future.getNow();
              if (closed) {
                registration.cancel();
                return;
              }
              // The first event reports the state as it is; there is no edge to wait for.
              registration.submit(EVERYTHING);
            });
  }

  @Override
  public FileDescriptor fd() {
    return socket;
  }

  @Override
  public void handle(IoRegistration source, IoEvent event) {
    int ops = ((EpollIoEvent) event).ops().value();
    boolean error = (ops & EpollIoOps.EPOLLERR.value()) != 0;
    hangup |= error || (ops & (EpollIoOps.EPOLLRDHUP.value() | EPOLLHUP)) != 0;
    if (connecting && !finishConnect()) {
      return;
    }
    if ((ops & EpollIoOps.EPOLLOUT.value()) != 0 || error) {
      writable = true;
      flush();
    }
    if (closed) {
      return;
    }
    if (inputOver) {
      if (error) {
        failWithSocketError();
      }
    } else if (hangup || (ops & EpollIoOps.EPOLLIN.value()) != 0) {
      readable = true;
      read();
    }
  }

  private boolean finishConnect() {
    try {
      if (!socket.finishConnect()) {
        return false;
      }
    } catch (IOException e) {
      fail(e);
      return false;
    }
    connecting = false;
    listener.connected();
    return !closed;
  }

  private void read() {
    turnPending = false;
    IoBuffers buffers = IoBuffers.get();
    boolean delivered = false;
    int turns = 0;
    try {
      while (readable && !paused && !closed) {
        if (turns++ == READS_PER_TURN) {
          readLater();
          break;
        }
        int length = buffers.read(socket);
        if (length > 0) {
          // A short read has emptied the socket (epoll(7)), unless a FIN or an error is queued
          // behind the data.
          readable = hangup || length == Tuning.READ_CHUNK;
          delivered = true;
          listener.received(buffers.take(length));
        } else if (length == 0) {
          readable = false;
        } else {
          readable = false;
          inputOver = true;
          finishInput();
        }
      }
    } catch (IOException e) {
      fail(e);
    } catch (java.nio.channels.NotYetConnectedException e) {
      fail(new SocketException("socket is not connected"));
    }
    if (delivered) {
      listener.receiveComplete();
    }
  }

  private void finishInput() {
    if (errorTaken != 0) {
      fail(
          new SocketException("connection was broken before the relay began: errno " + errorTaken));
    } else {
      listener.ended();
    }
  }

  private void readLater() {
    if (!turnPending) {
      turnPending = true;
      loop.execute(this::read);
    }
  }

  /** Leaves arriving bytes in the kernel until {@link #resumeReading}. */
  void pauseReading() {
    paused = true;
  }

  /** Reads again, now if there is something. */
  void resumeReading() {
    if (paused) {
      paused = false;
      if (readable) {
        readLater();
      }
    }
  }

  /** Writes what the kernel takes of the queue; the rest follows by itself as there is room. */
  void flush() {
    if (!writable || closed || queue.isEmpty()) {
      return;
    }
    IovArray vector = IoBuffers.get().vector;
    long total = 0;
    IOException failure = null;
    try {
      while (!queue.isEmpty()) {
        long taken = queue.writeTo(socket, vector);
        if (taken == 0) {
          writable = false;
          break;
        }
        total += taken;
      }
    } catch (IOException e) {
      failure = e;
    } catch (java.nio.channels.NotYetConnectedException e) {
      failure = new SocketException("socket is not connected");
    }
    if (failure != null) {
      fail(failure);
    } else if (total > 0) {
      listener.written(total);
    }
  }

  /** Whether {@link #connect} has no outcome yet. */
  boolean isConnecting() {
    return connecting;
  }

  /** Sends FIN to the peer. The queue must be empty. */
  void shutdownOutput() {
    try {
      Inet.shutdown(socket.intValue(), Inet.SHUT_WR);
    } catch (IOException e) {
      fail(e);
    }
  }

  /** Sends RST to the peer and closes. */
  void reset() {
    if (closed) {
      return;
    }
    try {
      Inet.disconnect(socket.intValue());
    } catch (IOException e) {
      log.warn("cannot reset a relayed connection", e);
    }
    close();
  }

  /**
   * Closes the descriptor and says nothing to the peer while duplicates exist; queued bytes are
   * dropped.
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    queue.clear();
    if (registration != null) {
      // Explicitly and before the close: with a duplicate elsewhere the kernel would not forget the
      // descriptor.
      registration.cancel();
    }
    try {
      socket.close();
    } catch (IOException e) {
      log.warn("cannot close a relayed socket", e);
    }
  }

  private void failWithSocketError() {
    try {
      int errno = Inet.takeError(socket.intValue());
      fail(new SocketException("connection broke: errno " + errno));
    } catch (IOException e) {
      fail(e);
    }
  }

  private void fail(IOException cause) {
    if (!closed) {
      close();
      listener.failed(cause);
    }
  }
}
