package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** The kernel's table of unix sockets, with who is connected to whom: sock_diag(7). */
public final class UnixDiag {
  /** {@code AF_UNIX}. */
  public static final int AF_UNIX = 1;

  /** {@code SOCK_DGRAM}. */
  public static final int DGRAM = 2;

  /** TCP_LISTEN, which unix sockets use as well. */
  private static final int LISTEN = 10;

  private static final int AF_NETLINK = 16;
  private static final int SOCK_RAW_CLOEXEC = 3 | 02000000;
  private static final int NETLINK_SOCK_DIAG = 4;
  private static final short SOCK_DIAG_BY_FAMILY = 20;
  private static final short NLM_F_REQUEST_DUMP = 0x301;
  private static final short NLMSG_ERROR = 2;
  private static final short NLMSG_DONE = 3;
  private static final int HEADER = 16;

  /** struct unix_diag_req and struct unix_diag_msg. */
  private static final int REQUEST = 24;

  private static final int MESSAGE = 16;
  private static final int SHOW_NAME_PEER_ICONS = 1 | 4 | 8;
  private static final short NAME = 0;
  private static final short PEER = 2;
  private static final short ICONS = 3;
  private static final int BUFFER = 64 << 10;

  private UnixDiag() {}

  /**
   * A unix socket of this network namespace.
   *
   * @param inode names it, an unsigned number
   * @param type SOCK_ number
   * @param listening whether it listens
   * @param name its path, with a NUL before an abstract one; empty where it has none
   * @param peer inode of the one that it is connected to; 0 for none
   * @param waiting inodes of those whose connections it has not accepted yet
   */
  public record UnixSocket(
      int inode, int type, boolean listening, String name, int peer, List<Integer> waiting) {}

  /** All of them. */
  public static List<UnixSocket> all() throws Errno {
    int fd;
    try {
      fd = LibC.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG);
    } catch (LastErrorException e) {
      throw new Errno("socket(NETLINK_SOCK_DIAG)", e);
    }
    try {
      ask(fd);
      return answer(fd);
    } finally {
      Linux.closeQuietly(fd);
    }
  }

  private static void ask(int fd) throws Errno {
    ByteBuffer request = ByteBuffer.allocate(HEADER + REQUEST).order(ByteOrder.nativeOrder());
    request.putInt(request.capacity());
    request.putShort(SOCK_DIAG_BY_FAMILY).putShort(NLM_F_REQUEST_DUMP).putInt(1).putInt(0);
    request.put((byte) AF_UNIX).put((byte) 0).putShort((short) 0);
    request.putInt(-1); // in every state
    request.putInt(0).putInt(SHOW_NAME_PEER_ICONS);
    if (LibC.send(fd, request.array(), request.capacity(), 0) < 0) {
      throw new Errno("send to sock_diag", Native.getLastError());
    }
  }

  private static List<UnixSocket> answer(int fd) throws Errno {
    List<UnixSocket> sockets = new ArrayList<>();
    try (Memory buffer = new Memory(BUFFER)) {
      while (true) {
        long got = LibC.recv(fd, Pointer.nativeValue(buffer), BUFFER, 0);
        if (got < 0 && Native.getLastError() == Errno.EINTR) {
          continue;
        } else if (got <= 0) {
          throw new Errno("recv from sock_diag", Native.getLastError());
        }
        ByteBuffer part =
            ByteBuffer.wrap(buffer.getByteArray(0, (int) got)).order(ByteOrder.nativeOrder());
        while (part.remaining() >= HEADER) {
          int start = part.position();
          int length = part.getInt(start);
          short type = part.getShort(start + 4);
          if (type == NLMSG_DONE) {
            return sockets;
          } else if (type == NLMSG_ERROR) {
            throw new Errno("sock_diag", -part.getInt(start + HEADER));
          }
          sockets.add(socket(part, start + HEADER, start + length));
          part.position(Math.min(part.limit(), start + aligned(length)));
        }
      }
    }
  }

  private static UnixSocket socket(ByteBuffer part, int at, int end) {
    String name = "";
    int peer = 0;
    List<Integer> waiting = new ArrayList<>();
    int attribute = at + MESSAGE;
    while (attribute + 4 <= end) {
      int length = part.getShort(attribute) & 0xffff;
      int content = attribute + 4;
      switch (part.getShort(attribute + 2)) {
        case NAME -> {
          byte[] bytes = new byte[length - 4];
          part.get(content, bytes);
          name = new String(bytes, StandardCharsets.UTF_8).replaceAll("(?<=.)\0+$", "");
        }
        case PEER -> peer = part.getInt(content);
        case ICONS -> {
          for (int icon = content; icon + 4 <= attribute + length; icon += 4) {
            waiting.add(part.getInt(icon));
          }
        }
        default -> {} // not asked for
      }
      attribute += Math.max(4, aligned(length));
    }
    return new UnixSocket(
        part.getInt(at + 4),
        part.get(at + 1),
        part.get(at + 2) == LISTEN,
        name,
        peer,
        List.copyOf(waiting));
  }

  private static int aligned(int length) {
    return (length + 3) & ~3;
  }
}
