package dev.exile.sockets;

import java.net.InetSocketAddress;

/**
 * A duplicate of one of the process's real TCP sockets. Until COMMIT nothing is read from it and
 * nothing accepted: closing it is all that a rollback takes.
 *
 * @param key names the socket within its migration
 * @param pid one of the processes that hold it
 * @param fd its descriptor there
 * @param duplicate this agent's descriptor for it
 * @param state as the kernel tells it
 * @param ipv6 whether it is of family AF_INET6
 * @param mapped whether it is of family AF_INET6 and speaks IPv4 (or, listening, also IPv4)
 * @param local its own address
 * @param peer its peer's address, null for a listener
 * @param broken whether the process is still to learn that its connection was reset, or has failed
 */
public record TakenSocket(
    int key,
    int pid,
    int fd,
    int duplicate,
    TcpState state,
    boolean ipv6,
    boolean mapped,
    InetSocketAddress local,
    InetSocketAddress peer,
    boolean broken) {

  /** By this name it is relayed. */
  public String name() {
    return Integer.toString(key);
  }

  /** True for a listening socket. */
  public boolean listening() {
    return state == TcpState.LISTEN;
  }

  /** True where the process has already ended its own direction. */
  public boolean shutWrite() {
    return switch (state) {
      case FIN_WAIT1, FIN_WAIT2, LAST_ACK, CLOSING -> true;
      case CLOSE -> !broken;
      default -> false;
    };
  }

  /** True while the process waits for its {@code connect}. */
  public boolean connecting() {
    return state == TcpState.SYN_SENT;
  }
}
