package dev.exile.sockets;

import dev.exile.linux.Inet;
import java.io.IOException;

/**
 * How far the two directions of a TCP connection are, as the kernel knows it: whoever comes to the
 * socket, even after the death of the one before, learns to the byte what has been written into it
 * and what has been taken out of it. Numbers rise from somewhere; only differences mean something.
 *
 * @param state the socket's state
 * @param written bytes that the kernel has taken from us; meaningless where {@link #broken}
 * @param consumed bytes that we have taken out of it for good
 * @param unread bytes that can be read
 * @param finSent whether our direction has been ended
 * @param finReceived whether the peer has ended its direction; there may be bytes before that end
 * @param broken whether it ended by a reset or another error: what can be read is still to be had,
 *     nothing can be written
 */
record SocketProgress(
    TcpState state,
    long written,
    long consumed,
    long unread,
    boolean finSent,
    boolean finReceived,
    boolean broken) {
  private static final int TRIES = 1_000;

  /**
   * Looks at a socket that nobody else reads or writes meanwhile; its peer may. The socket stays as
   * it is.
   */
  static SocketProgress of(int fd) throws IOException {
    for (int i = 0; i < TRIES; i++) {
      Inet.TcpInfo before = Inet.tcpInfo(fd);
      int unacknowledged = Inet.unacknowledged(fd);
      int unread = unread(fd);
      TcpState state = TcpState.of(before.state());
      // Only here, where the kernel tells it in no better way: asking may take the socket's error.
      boolean error = state == TcpState.CLOSE && Inet.hasError(fd);
      boolean finReceived = state == TcpState.CLOSE ? Inet.finReceived(fd) : peerEnded(state);
      if (before.equals(Inet.tcpInfo(fd))) {
        return of(state, before, unacknowledged, unread, error, finReceived);
      }
    }
    throw new IOException("socket " + fd + " does not hold still long enough to be looked at");
  }

  private static SocketProgress of(
      TcpState state,
      Inet.TcpInfo info,
      int unacknowledged,
      int unread,
      boolean error,
      boolean finReceived) {
    boolean broken = state == TcpState.CLOSE && (error || !finReceived);
    boolean finSent = state == TcpState.CLOSE ? !broken : weEnded(state);
    // A SYN of ours counts as acknowledged once it is.
    long syn = state == TcpState.SYN_SENT ? 1 : 0;
    return new SocketProgress(
        state,
        info.acknowledged() + unacknowledged + syn - (finSent ? 1 : 0),
        info.received() - unread - (finReceived ? 1 : 0),
        unread,
        finSent,
        finReceived,
        broken);
  }

  /** Past an urgent byte the kernel counts only where it is read in line. */
  private static int unread(int fd) throws IOException {
    if (!Inet.hasUrgent(fd)) {
      return Inet.unread(fd);
    }
    boolean before = Inet.readUrgentInline(fd, true);
    try {
      return Inet.unread(fd);
    } finally {
      Inet.readUrgentInline(fd, before);
    }
  }

  private static boolean peerEnded(TcpState state) {
    return switch (state) {
      case CLOSE_WAIT, LAST_ACK, CLOSING, TIME_WAIT -> true;
      default -> false;
    };
  }

  private static boolean weEnded(TcpState state) {
    return switch (state) {
      case FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING, TIME_WAIT -> true;
      default -> false;
    };
  }

  /** Whether both directions have ended in order and nothing is left to read. */
  boolean over() {
    return finSent && finReceived && unread == 0 && !broken;
  }

  /** Whether nobody has ever tried to connect it. */
  boolean untouched() {
    return state == TcpState.CLOSE && written == 0 && consumed == 0 && !finReceived;
  }
}
