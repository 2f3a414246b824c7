package dev.exile.linux;

import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A {@code struct sockaddr_in} or {@code sockaddr_in6} as the kernel lays it out (x86-64, little
 * endian for the family, network order for the port).
 *
 * @param bytes the structure, possibly followed by unused room
 * @param length how many of the bytes count
 */
@SuppressWarnings("ArrayRecordComponent")
public record SocketAddressBytes(byte[] bytes, int length) {
  static final int MAX_LENGTH = 128;

  /** {@code AF_INET}. */
  public static final int AF_INET = 2;

  /** {@code AF_INET6}. */
  public static final int AF_INET6 = 10;

  private static final byte[] MAPPED_PREFIX = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1};

  /** An address for a socket of the given family; IPv4 becomes v4-mapped for AF_INET6. */
  public static SocketAddressBytes of(int family, InetAddress address, int port) {
    if (family == AF_INET) {
      byte[] bytes = new byte[length(family)];
      ByteBuffer buffer = start(bytes, family, port);
      buffer.put(address.getAddress());
      return new SocketAddressBytes(bytes, bytes.length);
    }
    byte[] bytes = new byte[length(family)];
    ByteBuffer buffer = start(bytes, family, port);
    buffer.putInt(0);
    if (address instanceof Inet4Address) {
      buffer.put(MAPPED_PREFIX);
    }
    buffer.put(address.getAddress());
    if (address instanceof Inet6Address six && six.getScopeId() != 0) {
      buffer.order(ByteOrder.LITTLE_ENDIAN).putInt(24, six.getScopeId());
    }
    return new SocketAddressBytes(bytes, bytes.length);
  }

  /** How many bytes an address of a family has. */
  static int length(int family) {
    return family == AF_INET ? 16 : 28;
  }

  private static ByteBuffer start(byte[] bytes, int family, int port) {
    ByteBuffer buffer = ByteBuffer.wrap(bytes);
    buffer.order(ByteOrder.LITTLE_ENDIAN).putShort((short) family);
    return buffer.order(ByteOrder.BIG_ENDIAN).putShort((short) port);
  }

  /** The address family, {@link #AF_INET}, {@link #AF_INET6} or another. */
  public int family() {
    return length < 2 ? 0 : ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getShort();
  }

  /** True for an IPv6 address that stands for an IPv4 one, ::ffff:a.b.c.d. */
  public boolean mapped() {
    return family() == AF_INET6
        && Arrays.equals(bytes, 8, 8 + MAPPED_PREFIX.length, MAPPED_PREFIX, 0, 12);
  }

  /** As Java's address; a v4-mapped one is given as IPv4. Null for another family. */
  public InetSocketAddress toInet() {
    int port = ByteBuffer.wrap(bytes).getShort(2) & 0xffff;
    try {
      return switch (family()) {
        case AF_INET ->
            new InetSocketAddress(InetAddress.getByAddress(Arrays.copyOfRange(bytes, 4, 8)), port);
        case AF_INET6 ->
            new InetSocketAddress(InetAddress.getByAddress(Arrays.copyOfRange(bytes, 8, 24)), port);
        default -> null;
      };
    } catch (UnknownHostException e) {
      throw new AssertionError("the length is right", e);
    }
  }

  @Override
  public String toString() {
    InetSocketAddress inet = toInet();
    return inet == null
        ? "family " + family()
        : inet.getAddress().getHostAddress() + ":" + inet.getPort();
  }
}
