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
import java.nio.channels.NotYetConnectedException;
import java.util.concurrent.TimeUnit;

/**
 * A parked TCP socket on an event loop, edge-triggered. It is read without taking anything from it:
 * bytes stay in the kernel until {@link #consume}, so that another reader can begin where this one
 * was stopped, by {@link #detach} or by the death of its process.
 *
 * <p>Netty's socket channel does not suit sockets that have been in use: {@code EpollSocketChannel}
 * asks for SO_ERROR as it is made, spins at 100 % CPU or stays silent when a half-closed connection
 * is reset, says with the same event that the peer finished and that it broke, and reads for good.
 * Here EOF is told from failure, a failure is told after all bytes before it, it is noticed in
 * every state, and the socket's error stays with it where it is still needed.
 *
 * <p>All methods must be called on the event loop. The descriptor belongs to somebody else.
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

    /** The connection is broken; all that came before was delivered. */
    void failed(IOException cause);
  }

  /** How long a broken connection's last bytes may take to be read, in milliseconds. */
  static final long GRACE_MILLIS = 2_000;

  private static final int EPOLLPRI = 2;
  private static final int EPOLLHUP = 0x10;

  private static final EpollIoOps EVERYTHING =
      EpollIoOps.valueOf(
          EpollIoOps.EPOLLIN.value()
              | EpollIoOps.EPOLLOUT.value()
              | EpollIoOps.EPOLLRDHUP.value()
              | EpollIoOps.EPOLLET.value()
              | EPOLLPRI);

  /** Reads in a row before other sockets of the loop get their turn. */
  private static final int READS_PER_TURN = 8;

  private final Socket socket;
  private final IoEventLoop loop;
  private final WriteQueue queue;
  private final Listener listener;
  private IoRegistration registration;

  /** Bytes that have been read and not consumed. */
  private long peeked;

  private boolean connecting;
  private boolean readable;
  private boolean writable;
  private boolean paused;
  private boolean inputOver;
  private boolean endTold;
  private boolean outputBroken;
  private boolean hangup;

  /** The kernel reads on past an urgent byte only once all before it is consumed. */
  private boolean urgent;

  private boolean failing;
  private boolean turnPending;
  private boolean detached;

  TcpSocket(int fd, IoEventLoop loop, WriteQueue queue, Listener listener) {
    this.socket = new Socket(fd);
    this.loop = loop;
    this.queue = queue;
    this.listener = listener;
  }

  /**
   * Prepares a socket for all who will read and write it, before it is looked at closely: urgent
   * bytes stay in their place, and count.
   */
  static void prepare(int fd) throws IOException {
    Inet.setNonBlocking(fd);
    Inet.deliverAtOnce(fd);
    Inet.readUrgentInline(fd, true);
  }

  /**
   * Starts to read and write a prepared socket. Whatever state the connection is in is reported to
   * the listener.
   *
   * @param pending whether it is still being connected
   */
  void open(boolean pending) {
    connecting = pending;
    register();
  }

  /** Connects first; the outcome is {@link Listener#connected} or {@link Listener#failed}. */
  void connect(InetSocketAddress target) {
    try {
      connecting = !socket.connect(target);
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
              if (detached) {
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
    urgent |= (ops & EPOLLPRI) != 0;
    if (detached || (connecting && !finishConnect())) {
      return;
    }
    if ((ops & EpollIoOps.EPOLLOUT.value()) != 0 || error) {
      writable = true;
      flush();
    }
    if (error) {
      failLater();
    }
    if (detached) {
      return;
    }
    if (inputOver) {
      if (error) {
        finishInput();
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
    return !detached;
  }

  private void read() {
    turnPending = false;
    IoBuffers buffers = IoBuffers.get();
    boolean delivered = false;
    int turns = 0;
    while (readable && !paused && !detached) {
      if (turns++ == READS_PER_TURN) {
        readLater();
        break;
      }
      int length = buffers.peek(socket.intValue(), peeked);
      if (length > 0) {
        // A short read has emptied the socket (epoll(7)), unless a FIN or an error is queued behind
        // the data.
        readable = hangup || length == Tuning.READ_CHUNK;
        delivered = true;
        peeked += length;
        listener.received(buffers.take(length));
      } else {
        readable = false;
        if (length < 0) {
          fail(new SocketException("connection broke: errno " + -length));
        } else if (hangup) {
          finishInput();
        }
      }
    }
    if (delivered) {
      listener.receiveComplete();
    }
  }

  /** Nothing more can be read: is that the peer's end, is the connection broken, or both? */
  private void finishInput() {
    try {
      SocketProgress progress = SocketProgress.of(socket.intValue());
      if (progress.unread() > peeked) {
        return; // behind an urgent byte
      }
      if (progress.finReceived() && !endTold) {
        endTold = true;
        inputOver = true;
        listener.ended();
      }
      if (!detached && (progress.broken() || outputBroken)) {
        fail(new SocketException("connection broke"));
      }
    } catch (IOException e) {
      fail(e);
    }
  }

  private void readLater() {
    if (!turnPending) {
      turnPending = true;
      loop.execute(this::read);
    }
  }

  /** Leaves arriving bytes alone until {@link #resumeReading}. */
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

  /**
   * Takes bytes out of the kernel for good: the first of those that were read, or that a former
   * reader had read.
   *
   * @throws IOException where the socket does not hold as many
   */
  void consume(long bytes) throws IOException {
    if (Inet.discard(socket.intValue(), bytes) < bytes) {
      throw new IOException("bytes were acknowledged that have never been there");
    }
    peeked = Math.max(0, peeked - bytes);
    if (urgent) {
      readable = true;
      readLater();
    }
  }

  /** Writes what the kernel takes of the queue; the rest follows by itself as there is room. */
  void flush() {
    if (outputBroken) {
      queue.clear();
    }
    if (!writable || detached || queue.isEmpty()) {
      return;
    }
    IovArray vector = IoBuffers.get().vector;
    long total = 0;
    try {
      while (!queue.isEmpty()) {
        long taken = queue.writeTo(socket, vector);
        if (taken == 0) {
          writable = false;
          break;
        }
        total += taken;
      }
    } catch (IOException | NotYetConnectedException e) {
      breakOutput();
    }
    if (total > 0) {
      listener.written(total);
    }
  }

  /** Nothing can be written any more; what can still be read comes first. */
  private void breakOutput() {
    outputBroken = true;
    queue.clear();
    hangup = true;
    inputOver = false;
    readable = true;
    readLater();
    failLater();
  }

  /** A reader that has stopped does not keep a broken connection. */
  private void failLater() {
    if (!failing) {
      failing = true;
      loop.schedule(
          () -> fail(new SocketException("connection broke")), GRACE_MILLIS, TimeUnit.MILLISECONDS);
    }
  }

  /** Whether {@link #connect} has no outcome yet. */
  boolean isConnecting() {
    return connecting;
  }

  /** Sends FIN to the peer. The queue must be empty. */
  void shutdownOutput() throws IOException {
    Inet.shutdown(socket.intValue(), Inet.SHUT_WR);
  }

  /** Lets go of the socket, which stays as it is; queued bytes are dropped. */
  void detach() {
    detached = true;
    queue.clear();
    if (registration != null) {
      // Explicitly and before any close: with a duplicate elsewhere the kernel would not forget the
      // descriptor.
      registration.cancel();
    }
  }

  /** Netty ends the registration of what it has on a loop that ends. */
  @Override
  public void close() {
    detach();
  }

  private void fail(IOException cause) {
    if (!detached) {
      detach();
      listener.failed(cause);
    }
  }
}
