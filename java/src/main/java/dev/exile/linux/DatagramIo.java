package dev.exile.linux;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;

/**
 * Receives and sends datagrams with both of their addresses: recvmsg(2) and sendmsg(2) with
 * IP_PKTINFO or IPV6_PKTINFO. Never waits.
 *
 * <p>Not thread-safe; made once and used for any number of sockets.
 */
public final class DatagramIo {
  private static final int MSG_PEEK = 0x2;
  private static final int MSG_DONTWAIT = 0x40;
  private static final int SOL_IP = 0;
  private static final int SOL_UDP = 17;
  private static final int SOL_IPV6 = 41;
  private static final int IP_PKTINFO = 8;
  private static final int IPV6_PKTINFO = 50;
  private static final int UDP_GRO = 104;

  /** struct msghdr, 64 bit. */
  private static final int MSG_NAME = 0;

  private static final int MSG_NAMELEN = 8;
  private static final int MSG_IOV = 16;
  private static final int MSG_IOVLEN = 24;
  private static final int MSG_CONTROL = 32;
  private static final int MSG_CONTROLLEN = 40;
  private static final int MSGHDR_BYTES = 56;
  private static final int IOVEC_BYTES = 16;

  /** struct cmsghdr: its own length as a long, level, type; data follows, padded to 8. */
  private static final int CMSG_LEVEL = 8;

  private static final int CMSG_TYPE = 12;
  private static final int CMSG_DATA = 16;

  /** in_pktinfo: interface, the local address, the header's destination. */
  private static final int PKTINFO_BYTES = 12;

  private static final int PKTINFO_LOCAL = 4;

  private static final int PKTINFO_HEADER = 8;

  /** in6_pktinfo: the address, the interface. */
  private static final int PKTINFO6_BYTES = 20;

  private static final int NAME_BYTES = 128;
  private static final int CONTROL_BYTES = 512;

  private final Memory memory = new Memory(MSGHDR_BYTES + IOVEC_BYTES + NAME_BYTES + CONTROL_BYTES);
  private final int iovec = MSGHDR_BYTES;
  private final int name = iovec + IOVEC_BYTES;
  private final int control = name + NAME_BYTES;
  private final long base = Pointer.nativeValue(memory);
  private InetSocketAddress source;
  private InetAddress destination;
  private int segment;

  /** With its memory. */
  public DatagramIo() {
    memory.clear();
    memory.setLong(MSG_IOV, base + iovec);
    memory.setLong(MSG_IOVLEN, 1);
  }

  /**
   * Takes a datagram out of the socket's queue, or several at once, see {@link #segment}; {@link
   * #source} and {@link #destination} then tell of it.
   *
   * @param address where its payload is copied to
   * @param length the room there
   * @return the payload's bytes, or a negative errno, -EAGAIN where there is none
   */
  public int receive(int fd, long address, int length) {
    return receive(fd, address, length, MSG_DONTWAIT);
  }

  /** The same, but the datagram stays in the queue; see {@link Udp#peekFrom} on which one it is. */
  public int peek(int fd, long address, int length) {
    return receive(fd, address, length, MSG_DONTWAIT | MSG_PEEK);
  }

  private int receive(int fd, long address, int length, int flags) {
    aim(address, length);
    memory.setLong(MSG_NAME, base + name);
    memory.setInt(MSG_NAMELEN, NAME_BYTES);
    memory.setLong(MSG_CONTROL, base + control);
    memory.setLong(MSG_CONTROLLEN, CONTROL_BYTES);
    long got;
    do {
      got = LibC.recvmsg(fd, base, flags);
    } while (got < 0 && Native.getLastError() == Errno.EINTR);
    if (got < 0) {
      return -Native.getLastError();
    }
    int nameLength = Math.min(NAME_BYTES, memory.getInt(MSG_NAMELEN));
    source = new SocketAddressBytes(memory.getByteArray(name, NAME_BYTES), nameLength).toInet();
    readControl();
    return (int) got;
  }

  private void aim(long address, int length) {
    memory.setLong(iovec, address);
    memory.setLong(iovec + Long.BYTES, length);
  }

  private void readControl() {
    destination = null;
    segment = 0;
    long end = control + memory.getLong(MSG_CONTROLLEN);
    long at = control;
    while (at + CMSG_DATA <= end) {
      long length = memory.getLong(at);
      if (length < CMSG_DATA) {
        return;
      }
      int level = memory.getInt(at + CMSG_LEVEL);
      int type = memory.getInt(at + CMSG_TYPE);
      if (level == SOL_IP && type == IP_PKTINFO) {
        // Of what came before the kernel was asked to tell it knows the header's address only.
        int at4 =
            memory.getInt(at + CMSG_DATA + PKTINFO_LOCAL) == 0 ? PKTINFO_HEADER : PKTINFO_LOCAL;
        destination = address(memory.getByteArray(at + CMSG_DATA + at4, 4));
      } else if (level == SOL_IPV6 && type == IPV6_PKTINFO) {
        destination = address(memory.getByteArray(at + CMSG_DATA, 16));
      } else if (level == SOL_UDP && type == UDP_GRO) {
        segment = memory.getInt(at + CMSG_DATA);
      }
      at += (length + 7) / 8 * 8;
    }
  }

  private static InetAddress address(byte[] bytes) {
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new AssertionError("the length is right", e);
    }
  }

  /** Who sent the datagram received last. */
  public InetSocketAddress source() {
    return source;
  }

  /**
   * Which of this host's addresses it was sent to; of a broadcast mostly one that fits. Null where
   * the kernel was not asked to tell.
   */
  public InetAddress destination() {
    return destination;
  }

  /**
   * Bytes of each datagram where several of one sender were received as one, the last of which may
   * be shorter; 0 where it was a single one. That is so where somebody has set UDP_GRO, see udp(7).
   */
  public int segment() {
    return segment;
  }

  /**
   * Sends a datagram.
   *
   * @param family of the socket
   * @param from the own address that it is to come from; null for the one that the kernel chooses
   * @return 0, or a negative errno
   */
  public int send(
      int fd, int family, InetAddress from, InetSocketAddress to, long address, int length) {
    aim(address, length);
    SocketAddressBytes peer = SocketAddressBytes.of(family, to.getAddress(), to.getPort());
    memory.write(name, peer.bytes(), 0, peer.length());
    memory.setLong(MSG_NAME, base + name);
    memory.setInt(MSG_NAMELEN, peer.length());
    int told = from == null ? 0 : writeSource(family, from);
    memory.setLong(MSG_CONTROL, told == 0 ? 0 : base + control);
    memory.setLong(MSG_CONTROLLEN, told);
    long sent;
    do {
      sent = LibC.sendmsg(fd, base, MSG_DONTWAIT);
    } while (sent < 0 && Native.getLastError() == Errno.EINTR);
    return sent < 0 ? -Native.getLastError() : 0;
  }

  private int writeSource(int family, InetAddress from) {
    boolean four = family == SocketAddressBytes.AF_INET;
    int data = four ? PKTINFO_BYTES : PKTINFO6_BYTES;
    memory.setLong(control, CMSG_DATA + (long) data);
    memory.setInt(control + CMSG_LEVEL, four ? SOL_IP : SOL_IPV6);
    memory.setInt(control + CMSG_TYPE, four ? IP_PKTINFO : IPV6_PKTINFO);
    memory.setMemory(control + CMSG_DATA, data, (byte) 0);
    byte[] bytes = from.getAddress();
    if (four) {
      memory.write(control + CMSG_DATA + PKTINFO_LOCAL, bytes, 0, bytes.length);
    } else {
      if (from instanceof Inet4Address) {
        memory.setShort(control + CMSG_DATA + 10, (short) -1); // ::ffff:a.b.c.d
      }
      memory.write(control + CMSG_DATA + 16 - bytes.length, bytes, 0, bytes.length);
    }
    return (CMSG_DATA + data + 7) / 8 * 8;
  }
}
