package dev.exile.linux;

import com.sun.jna.Native;
import java.util.Arrays;

/**
 * What a TCP socket's queues hold, and bytes put into them, for a connection between two sockets of
 * this host that nobody else uses meanwhile.
 *
 * <p>An open view is the kernel's repair mode, tcp(7) does not tell of it: the socket stands still,
 * and its send queue and sequence numbers can be read. Closed, the socket goes on as before.
 */
public final class QueueView implements AutoCloseable {
  private static final int TCP_REPAIR = 19;
  private static final int TCP_REPAIR_QUEUE = 20;
  private static final int TCP_QUEUE_SEQ = 21;
  private static final int TCP_WINDOW_CLAMP = 10;
  private static final int RECEIVE_QUEUE = 1;
  private static final int SEND_QUEUE = 2;
  private static final int SOL_SOCKET = 1;
  private static final int SO_REUSEADDR = 2;
  private static final int SO_SNDBUF = 7;
  private static final int SO_RCVBUF = 8;
  private static final int SO_SNDBUFFORCE = 32;
  private static final int SO_RCVBUFFORCE = 33;
  private static final int MSG_PEEK = 2;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int MSG_NOSIGNAL = 0x4000;

  /** The kernel charges more than the payload to a buffer. */
  private static final int OVERHEAD = 4;

  /** What the kernel lets a socket's buffers grow to by itself, about. */
  private static final int USUAL_ROOM = 8 << 20;

  private static final int CHUNK = 64 << 10;

  private final int fd;
  private final int reuse;

  /** Opens a view of a connected socket; needs CAP_NET_ADMIN. */
  public QueueView(int fd) throws Errno {
    this.fd = fd;
    reuse = Inet.get(fd, SOL_SOCKET, SO_REUSEADDR); // which repair mode forgets
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_REPAIR, 1);
  }

  /** The sequence number behind all that was written, the end counted as one more. */
  public int writtenTo() throws Errno {
    return sequence(SEND_QUEUE);
  }

  /** The sequence number behind all that has arrived, the end counted as one more. */
  public int receivedTo() throws Errno {
    return sequence(RECEIVE_QUEUE);
  }

  private int sequence(int queue) throws Errno {
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue);
    return Inet.get(fd, Inet.IPPROTO_TCP, TCP_QUEUE_SEQ);
  }

  /** What was written and the peer has not acknowledged; some of it may have arrived. */
  public byte[] sending() throws Errno {
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_REPAIR_QUEUE, SEND_QUEUE);
    byte[] bytes = new byte[Inet.unacknowledged(fd)];
    int got = bytes.length == 0 ? 0 : look(fd, bytes);
    if (got < 0) {
      throw new Errno("recv(MSG_PEEK) on descriptor " + fd, Native.getLastError());
    }
    // Less than was asked for: an end that was written counts, and the peer may have taken some.
    return Arrays.copyOf(bytes, got);
  }

  @Override
  public void close() throws Errno {
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_REPAIR, 0);
    Inet.set(fd, SOL_SOCKET, SO_REUSEADDR, reuse);
  }

  /** What can be read from a socket that is not viewed; it stays there. */
  public static byte[] unread(int fd) throws Errno {
    return peek(fd, Inet.unread(fd));
  }

  private static byte[] peek(int fd, int length) throws Errno {
    byte[] bytes = new byte[length];
    if (length == 0) {
      return bytes;
    }
    int got = look(fd, bytes);
    if (got != length) { // it stops before an urgent byte
      throw new Errno(
          "recv(MSG_PEEK) of %d bytes on descriptor %d, of which %d are seen"
              .formatted(length, fd, got),
          got < 0 ? Native.getLastError() : Errno.EAGAIN);
    }
    return bytes;
  }

  private static int look(int fd, byte[] bytes) {
    return (int) LibC.recv(fd, bytes, bytes.length, MSG_PEEK | MSG_DONTWAIT);
  }

  /** Gives a socket room for so many bytes to be sent beside what it has room for. */
  public static void makeRoomToSend(int fd, int bytes) throws Errno {
    Inet.set(fd, SOL_SOCKET, SO_SNDBUFFORCE, room(bytes));
  }

  /** The same for bytes to be received. */
  public static void makeRoomToReceive(int fd, int bytes) throws Errno {
    Inet.set(fd, SOL_SOCKET, SO_RCVBUFFORCE, room(bytes));
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_WINDOW_CLAMP, room(bytes));
  }

  /**
   * Once they are on their way: what comes later has the usual room only, or as much as there was.
   *
   * @param before {@link #roomToSend}, as it was
   */
  public static void endRoomToSend(int fd, int before) throws Errno {
    Inet.set(fd, SOL_SOCKET, SO_SNDBUFFORCE, Math.max(before, USUAL_ROOM) / 2); // doubled again
  }

  /** How much room a socket has for what is sent. */
  public static int roomToSend(int fd) throws Errno {
    return Inet.get(fd, SOL_SOCKET, SO_SNDBUF);
  }

  /** The same as {@link #endRoomToSend} for what is received. */
  public static void endRoomToReceive(int fd, int before) throws Errno {
    Inet.set(fd, SOL_SOCKET, SO_RCVBUFFORCE, Math.max(before, USUAL_ROOM) / 2);
  }

  /** How much room a socket has for what is received. */
  public static int roomToReceive(int fd) throws Errno {
    return Inet.get(fd, SOL_SOCKET, SO_RCVBUF);
  }

  private static int room(int bytes) {
    return Math.max(1 << 20, (int) Math.min(Integer.MAX_VALUE / 4, (long) bytes * OVERHEAD));
  }

  /**
   * Writes all of it.
   *
   * @throws Errno where the socket does not take it within the time
   */
  public static void write(int fd, byte[] bytes, int timeoutMillis) throws Errno {
    int written = 0;
    while (written < bytes.length) {
      byte[] chunk = Arrays.copyOfRange(bytes, written, Math.min(bytes.length, written + CHUNK));
      long took = LibC.send(fd, chunk, chunk.length, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (took > 0) {
        written += (int) took;
      } else if (Native.getLastError() == Errno.EAGAIN) {
        if (!Inet.becomesWritable(fd, timeoutMillis)) {
          throw new Errno("send on descriptor " + fd, Errno.ETIMEDOUT);
        }
      } else if (Native.getLastError() != Errno.EINTR) {
        throw new Errno("send on descriptor " + fd, Native.getLastError());
      }
    }
  }
}
