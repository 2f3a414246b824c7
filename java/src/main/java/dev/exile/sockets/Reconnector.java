package dev.exile.sockets;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.SocketAddressBytes;
import java.io.IOException;
import java.net.InetSocketAddress;

/**
 * Gives a restored process its connections back. CRIU has left each as a closed socket; here the
 * very same kernel object is connected to the relay, so that the process's own descriptor, its
 * epoll sets and its blocked calls just work.
 */
public final class Reconnector {
  private static final int CONNECT_MILLIS = 5_000;

  private Reconnector() {}

  /**
   * Connects one socket of a process that has not been resumed.
   *
   * @param pid the process, as this host numbers it
   * @param fd the socket's descriptor there
   * @param shutWrite whether the process had already ended its own direction
   * @param relay where the relay listens
   * @return the socket's own address, by which the relay knows whose connection it got
   */
  public static InetSocketAddress reconnect(
      int pid, int fd, boolean shutWrite, InetSocketAddress relay) throws IOException {
    int pidfd = Linux.pidfdOpen(pid);
    try {
      int socket = Linux.pidfdGetFd(pidfd, fd);
      try {
        Inet.disconnect(socket);
        int family = Inet.domain(socket);
        Inet.connect(
            socket,
            SocketAddressBytes.of(family, relay.getAddress(), relay.getPort()),
            CONNECT_MILLIS);
        if (shutWrite) {
          Inet.shutdown(socket, Inet.SHUT_WR);
        }
        return Inet.localAddress(socket).toInet();
      } finally {
        Linux.close(socket);
      }
    } finally {
      Linux.close(pidfd);
    }
  }
}
