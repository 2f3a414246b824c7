package dev.exile.negotiation;

import dev.exile.linux.Netlink;
import dev.exile.sockets.TakenDatagrams;
import dev.exile.sockets.TakenSockets.OtherSocket;
import java.util.Optional;

/** Which sockets cannot travel, and why; unix sockets are looked at by {@link UnixSurvey}. */
final class SocketSurvey {
  private static final int AF_INET = 2;
  private static final int AF_INET6 = 10;
  private static final int AF_PACKET = 17;
  private static final int SOCK_RAW = 3;
  private static final int IPPROTO_ICMP = 1;
  private static final int IPPROTO_ICMPV6 = 58;

  private SocketSurvey() {}

  /** What kind of socket it is, that is neither TCP nor UDP nor a unix socket. */
  static String kind(OtherSocket socket) {
    return switch (socket.domain()) {
      case AF_INET, AF_INET6 -> {
        if (socket.type() == SOCK_RAW) {
          yield "a raw socket of protocol " + socket.protocol();
        }
        boolean ping = socket.protocol() == IPPROTO_ICMP || socket.protocol() == IPPROTO_ICMPV6;
        yield ping ? "a ping socket" : "a socket of IP protocol " + socket.protocol();
      }
      case Netlink.AF_NETLINK -> "a netlink socket of protocol " + socket.protocol();
      case AF_PACKET -> "a packet socket";
      default -> "a socket of family " + socket.domain();
    };
  }

  /** Why a UDP socket cannot travel; empty where it can. */
  static Optional<String> refusal(TakenDatagrams socket) {
    if (!socket.device().isEmpty()) {
      return Optional.of("is a UDP socket bound to the device " + socket.device());
    }
    if (socket.local().getAddress().isMulticastAddress()) {
      return Optional.of(
          "is a UDP socket bound to the multicast address "
              + socket.local().getAddress().getHostAddress());
    }
    if (socket.ipv6()
        && (socket.local().getAddress().isLinkLocalAddress()
            || socket.local().getAddress().isLoopbackAddress())
        && socket.local().getAddress().getAddress().length == 16) {
      return Optional.of(
          "is a UDP socket bound to "
              + socket.local().getAddress().getHostAddress()
              + ", which no other host can have");
    }
    return Optional.empty();
  }
}
