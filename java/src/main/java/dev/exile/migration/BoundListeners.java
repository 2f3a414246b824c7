package dev.exile.migration;

import dev.exile.criu.ListenerImages;
import dev.exile.rpc.peer.ListenerPlan;
import dev.exile.rpc.peer.RestoreRequest;
import java.io.IOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Where a restored process's listeners are bound: as they were at first, but for a process that is
 * recalled. At home its first listeners go on to stand for it, and relay to it; its own are bound
 * to any free port of the loopback interface then.
 */
final class BoundListeners {
  private BoundListeners() {}

  /** Changes the images accordingly, and tells the facts. */
  static void settle(RestoreRequest request, Facts facts, Path images) throws IOException {
    boolean recalled = facts.from.equals(facts.to);
    Map<Integer, String> first = new LinkedHashMap<>();
    Map<Integer, String> bound = new LinkedHashMap<>();
    Map<InetSocketAddress, InetSocketAddress> moved = new LinkedHashMap<>();
    for (ListenerPlan plan : request.getListenersList()) {
      InetSocketAddress wanted = address(plan.getAddress(), plan.getPort());
      InetSocketAddress now =
          plan.getNowPort() == 0 ? wanted : address(plan.getNowAddress(), plan.getNowPort());
      first.put(plan.getKey(), text(wanted));
      InetSocketAddress here = wanted;
      if (recalled) {
        // Those that share an address (SO_REUSEPORT) go on sharing one.
        here = moved.containsKey(now) ? moved.get(now) : free(wanted.getAddress());
        bound.put(plan.getKey(), text(here));
      }
      if (!here.equals(now)) {
        moved.put(now, here);
      }
    }
    facts.listenerAddresses = first;
    facts.listenerBinds = bound;
    ListenerImages.rebind(images, moved);
  }

  /** Where a listener is bound on this host. */
  static InetSocketAddress of(Facts facts, int key) throws IOException {
    return parse(facts.listenerBinds.getOrDefault(key, facts.listenerAddresses.get(key)));
  }

  /** Where each listener of this host was bound at first. */
  static Map<InetSocketAddress, InetSocketAddress> first(Facts facts) throws IOException {
    Map<InetSocketAddress, InetSocketAddress> first = new LinkedHashMap<>();
    for (int key : facts.listenerAddresses.keySet()) {
      first.put(of(facts, key), parse(facts.listenerAddresses.get(key)));
    }
    return first;
  }

  /** As {@link Facts#listenerAddresses} have it. */
  static InetSocketAddress parse(String text) throws IOException {
    String[] parts = text.split(" ", 2);
    return address(parts[0], Integer.parseInt(parts[1]));
  }

  private static InetSocketAddress address(String host, int port) throws IOException {
    return new InetSocketAddress(InetAddress.getByName(host), port);
  }

  private static String text(InetSocketAddress address) {
    return address.getAddress().getHostAddress() + " " + address.getPort();
  }

  private static InetSocketAddress free(InetAddress like) throws IOException {
    InetAddress loopback =
        InetAddress.getByName(like instanceof Inet6Address ? "::1" : "127.0.0.1");
    try (ServerSocket probe = new ServerSocket(0, 1, loopback)) {
      return new InetSocketAddress(loopback, probe.getLocalPort());
    }
  }
}
