package dev.exile.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class NetlinkTest {
  private static final int SOCK_RAW_CLOEXEC = 3 | 02000000;
  private static final int ROUTE = 0;
  private static final int KOBJECT_UEVENT = 15;
  private static final int SOL_NETLINK = 270;
  private static final int NETLINK_ADD_MEMBERSHIP = 1;

  @Test
  void whoeverHasAskedNothingIsIdle() throws Errno {
    assertIdle(true, ROUTE, 0);
  }

  @Test
  void membersOfAGroupAreNot() throws Errno {
    assertIdle(false, ROUTE, 1);
    assertIdle(false, ROUTE, 33); // not among the groups that an address tells
  }

  @Test
  void otherProtocolsAreNot() throws Errno {
    assertIdle(false, KOBJECT_UEVENT, 0);
  }

  private static void assertIdle(boolean idle, int protocol, int group) throws Errno {
    int fd = LibC.socket(Netlink.AF_NETLINK, SOCK_RAW_CLOEXEC, protocol);
    try {
      if (group != 0) {
        Inet.set(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
      }
      assertEquals(idle, Netlink.isIdle(fd));
    } finally {
      Linux.closeQuietly(fd);
    }
  }
}
