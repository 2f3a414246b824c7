package dev.exile.migration;

import dev.exile.linux.Linux;
import dev.exile.rpc.peer.Endpoint;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SocketPlan;
import dev.exile.sockets.DestinationRelay;
import dev.exile.sockets.Passages;
import dev.exile.sockets.Reconnector;
import io.netty.channel.epoll.LinuxSocket;
import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The restored process's connections, given back to it: its sockets are joined to the relay, and
 * where they have been relayed elsewhere before, what was under way there is put into them.
 */
final class GivenSockets implements Closeable {
  private final DestinationRelay relay;
  private final Passages passages;
  private final Passages.Ends wires;
  private final Map<String, Reconnector.Lost> sockets = new HashMap<>();
  private final Set<String> shut = new HashSet<>();

  /** In place of those that the process has closed, and which have not ended: ours. */
  private final Set<Integer> closed = new HashSet<>();

  /**
   * @param wires where the near ends of its streams' wires are
   */
  GivenSockets(DestinationRelay relay, Passages passages, Passages.Ends wires) {
    this.relay = relay;
    this.passages = passages;
    this.wires = wires;
  }

  /**
   * Connects them.
   *
   * @param members the processes' PIDs on this host by their PIDs in the cell
   */
  void connect(RestoreRequest request, Map<Integer, Integer> members)
      throws IOException, InterruptedException {
    relay.expect(passages);
    for (SocketPlan socket : request.getSocketsList()) {
      String name =
          socket.getName().isEmpty() ? Integer.toString(socket.getKey()) : socket.getName();
      if (socket.getShutWrite()) {
        shut.add(name);
      }
      sockets.put(
          name,
          new Reconnector.Lost(
              name,
              new Reconnector.Place(members.get(socket.getPid()), socket.getFd()),
              socket.getConnecting(),
              // where bytes are to be written first, the end comes after them
              socket.getShutWrite() && !request.getPassages(),
              inet(socket.getOwn()),
              socket.hasPeer() ? inet(socket.getPeer()) : null));
    }
    int own = (int) ProcessHandle.current().pid();
    for (String name : passages.closed()) {
      int fd = LinuxSocket.newSocketStream(false).intValue();
      closed.add(fd);
      InetSocketAddress any =
          new InetSocketAddress(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), 0);
      Reconnector.Place place = new Reconnector.Place(own, fd);
      sockets.put(name, new Reconnector.Lost(name, place, false, false, any, null));
    }
    Reconnector reconnector = relay.reconnector();
    reconnector.reconnect(List.copyOf(sockets.values()), relay::attach);
    reconnector.admit(
        request.getListenersList().stream()
            .filter(plan -> members.containsKey(plan.getPid()))
            .map(plan -> new Reconnector.Place(members.get(plan.getPid()), plan.getFd()))
            .toList());
  }

  static InetSocketAddress inet(Endpoint endpoint) throws IOException {
    return new InetSocketAddress(InetAddress.getByName(endpoint.getAddress()), endpoint.getPort());
  }

  /** Once the relay has them all: what was under way. */
  void fill() throws IOException {
    passages.give(relay, this::open, shut);
  }

  private int open(String name) throws IOException {
    Reconnector.Lost socket = sockets.get(name);
    if (socket == null) {
      return wires.open(name);
    }
    int pidfd = Linux.pidfdOpen(socket.place().pid());
    try {
      return Linux.pidfdGetFd(pidfd, socket.place().fd());
    } finally {
      Linux.closeQuietly(pidfd);
    }
  }

  @Override
  public void close() {
    closed.forEach(Linux::closeQuietly);
  }
}
