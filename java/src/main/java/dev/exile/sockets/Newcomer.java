package dev.exile.sockets;

import dev.exile.linux.ForeignTcp;
import dev.exile.linux.Inet;
import io.netty.channel.epoll.LinuxSocket;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetSocketAddress;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The destination's end of a connection that a client has made since the move: the process is to
 * accept it from the client's address, at the address that the client has used.
 *
 * @param migration its id, for the log
 * @param routes say which addresses may be borne
 * @param opening what home tells of the connection
 * @param listener an address at which the process listens here
 */
record Newcomer(
    String migration,
    ForeignRoutes routes,
    CarrierProtocol.Opening opening,
    InetSocketAddress listener) {
  private static final Logger log = LoggerFactory.getLogger(Newcomer.class);

  /** A new socket that has the client's address, where that can be, and is not connected yet. */
  int open() throws IOException {
    InetSocketAddress client = allowed() ? opening.client() : null;
    if (client != null && !isFree()) {
      // It is at this host itself, or has come back before we have forgotten its last connection.
      log.debug("{}: a connection from {} is here already, its port differs", migration, client);
      client = new InetSocketAddress(client.getAddress(), 0);
    }
    LinuxSocket socket = LinuxSocket.newSocketStream(isIpv6(client == null ? listener : client));
    try {
      if (client != null) {
        socket.setReuseAddress(true);
        ForeignTcp.bind(socket.intValue(), client);
      } else if (routes.reach(listener.getAddress())) {
        ForeignTcp.prepare(socket.intValue());
      }
    } catch (IOException e) {
      socket.close();
      throw e;
    }
    return socket.intValue();
  }

  private boolean isFree() throws IOException {
    LinuxSocket probe = LinuxSocket.newSocketStream(isIpv6(opening.client()));
    try {
      return ForeignTcp.isFree(probe.intValue(), opening.client(), opening.home());
    } finally {
      probe.close();
    }
  }

  /** Where that socket is to be connected to. */
  InetSocketAddress target(int fd) throws IOException {
    boolean bound = Inet.localAddress(fd).toInet().getPort() != 0;
    return bound && allowed() ? opening.home() : listener;
  }

  private boolean allowed() {
    return routes.allow(opening.home(), opening.client());
  }

  private static boolean isIpv6(InetSocketAddress address) {
    return address.getAddress() instanceof Inet6Address;
  }
}
