package dev.exile.linux;

import com.sun.jna.LastErrorException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Set;

/** What may be asked of netlink(7) sockets. A failure is an {@link Errno}. */
public final class Netlink {
  /** {@code AF_NETLINK}. */
  public static final int AF_NETLINK = 16;

  private static final int ROUTE = 0;
  private static final int SOCK_DIAG = 4;

  /** Of these the kernel answers questions, and keeps nothing from one to the next. */
  private static final Set<Integer> ANSWERING = Set.of(ROUTE, SOCK_DIAG);

  private static final int SOL_NETLINK = 270;
  private static final int NETLINK_LIST_MEMBERSHIPS = 9;

  /** A bit for each of a protocol's groups; none has nearly as many. */
  private static final int MEMBERSHIP_BYTES = 512;

  /** struct sockaddr_nl: family, padding, port, groups. */
  private static final int PORT = 4;

  private static final int GROUPS = 8;

  private Netlink() {}

  /**
   * Whether a netlink socket could as well be a new one: it only asks questions, and none is under
   * way.
   */
  public static boolean isIdle(int fd) throws Errno {
    if (!ANSWERING.contains(Inet.protocol(fd)) || Inet.isReadable(fd) || isMember(fd)) {
      return false;
    }
    ByteBuffer peer = address(Inet.peerAddress(fd));
    return address(Inet.localAddress(fd)).getInt(GROUPS) == 0
        && peer.getInt(PORT) == 0
        && peer.getInt(GROUPS) == 0;
  }

  private static ByteBuffer address(SocketAddressBytes address) {
    return ByteBuffer.wrap(address.bytes()).order(ByteOrder.nativeOrder());
  }

  private static boolean isMember(int fd) throws Errno {
    byte[] groups = new byte[MEMBERSHIP_BYTES];
    int[] length = {groups.length};
    try {
      LibC.getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, groups, length);
    } catch (LastErrorException e) {
      throw new Errno("getsockopt(NETLINK_LIST_MEMBERSHIPS) on descriptor " + fd, e);
    }
    for (byte some : groups) {
      if (some != 0) {
        return true;
      }
    }
    return false;
  }
}
