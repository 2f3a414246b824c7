package dev.exile.sockets;

/** States of a TCP socket in the kernel's numbering (include/net/tcp_states.h), from 1. */
public enum TcpState {
  /** Open both ways. */
  ESTABLISHED,
  /** A connect in progress. */
  SYN_SENT,
  /** A connection being accepted; never seen on a descriptor. */
  SYN_RECV,
  /** Ended here, not yet acknowledged. */
  FIN_WAIT1,
  /** Ended here, open there. */
  FIN_WAIT2,
  /** Ended both ways, waiting; never seen on a descriptor. */
  TIME_WAIT,
  /** Not connected (any more). */
  CLOSE,
  /** Ended there, open here. */
  CLOSE_WAIT,
  /** Ended both ways, there first. */
  LAST_ACK,
  /** Listening. */
  LISTEN,
  /** Ended both ways at once. */
  CLOSING;

  /** The state of that number. */
  public static TcpState of(int number) {
    if (number < 1 || number > values().length) {
      throw new IllegalArgumentException("no TCP state has the number " + number);
    }
    return values()[number - 1];
  }

  /** True where there is, or will be, a peer: the socket is to be relayed. */
  public boolean connected() {
    return switch (this) {
      case ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING -> true;
      case SYN_RECV, TIME_WAIT, CLOSE, LISTEN -> false;
    };
  }
}
