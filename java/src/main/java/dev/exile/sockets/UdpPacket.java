package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.Optional;

/**
 * A UDP datagram as an IP packet (RFC 791, RFC 8200, RFC 768): so datagrams cross the carrier, and
 * so a TUN device takes and gives them. Never a fragment.
 *
 * @param source who sent it
 * @param destination whom it is for
 * @param payload a slice of the packet, which belongs to the packet
 */
record UdpPacket(InetSocketAddress source, InetSocketAddress destination, ByteBuf payload) {
  /** Room to be left before a payload, in bytes: what the largest of the headers take. */
  static final int HEADROOM = 48;

  /** The largest packet, in bytes. */
  static final int MAX_BYTES = 40 + 0xffff;

  private static final int UDP = 17;
  private static final int UDP_BYTES = 8;
  private static final int BYTES_4 = 20;
  private static final int BYTES_6 = 40;
  private static final int HOPS = 64;
  private static final int DONT_FRAGMENT = 0x4000;

  /** Of the fragment field: that more follow, and the offset. */
  private static final int FRAGMENT = 0x3fff;

  /** Bytes that must be there before {@link #length} can be told. */
  static final int LENGTH_BYTES = 6;

  /**
   * Writes the headers before a payload.
   *
   * @param buffer holds {@link #HEADROOM} bytes of room, then the payload; its reader index is at
   *     the packet's beginning afterwards
   */
  static void wrap(ByteBuf buffer, InetSocketAddress source, InetSocketAddress destination) {
    int udp = HEADROOM - UDP_BYTES;
    int udpLength = buffer.writerIndex() - udp;
    byte[] from = source.getAddress().getAddress();
    byte[] to = destination.getAddress().getAddress();
    buffer.setShort(udp, source.getPort());
    buffer.setShort(udp + 2, destination.getPort());
    buffer.setShort(udp + 4, udpLength);
    buffer.setShort(udp + 6, 0);
    long sum = sum(from) + sum(to) + UDP + udpLength + sum(buffer, udp, udpLength);
    int checksum = fold(sum);
    buffer.setShort(udp + 6, checksum == 0 ? 0xffff : checksum); // 0 stands for none
    if (from.length == 4) {
      int ip = udp - BYTES_4;
      buffer.setShort(ip, 0x4500);
      buffer.setShort(ip + 2, BYTES_4 + udpLength);
      buffer.setShort(ip + 4, 0);
      buffer.setShort(ip + 6, DONT_FRAGMENT);
      buffer.setByte(ip + 8, HOPS);
      buffer.setByte(ip + 9, UDP);
      buffer.setShort(ip + 10, 0);
      buffer.setBytes(ip + 12, from);
      buffer.setBytes(ip + 16, to);
      buffer.setShort(ip + 10, fold(sum(buffer, ip, BYTES_4)));
      buffer.readerIndex(ip);
    } else {
      int ip = udp - BYTES_6;
      buffer.setInt(ip, 6 << 28);
      buffer.setShort(ip + 4, udpLength);
      buffer.setByte(ip + 6, UDP);
      buffer.setByte(ip + 7, HOPS);
      buffer.setBytes(ip + 8, from);
      buffer.setBytes(ip + 24, to);
      buffer.readerIndex(ip);
    }
  }

  /**
   * How long the packet is that begins at the buffer's reader index, of which at least {@link
   * #LENGTH_BYTES} are there; -1 where it is no IP packet.
   */
  static int length(ByteBuf buffer) {
    int at = buffer.readerIndex();
    return switch ((buffer.getByte(at) >> 4) & 0xf) {
      case 4 -> buffer.getUnsignedShort(at + 2) >= BYTES_4 ? buffer.getUnsignedShort(at + 2) : -1;
      case 6 -> BYTES_6 + buffer.getUnsignedShort(at + 4);
      default -> -1;
    };
  }

  /** The datagram in a packet of this host's own kernel; empty where it is something else. */
  static Optional<UdpPacket> of(ByteBuf packet) {
    int at = packet.readerIndex();
    int length = packet.readableBytes();
    if (length < LENGTH_BYTES || length != length(packet)) {
      return Optional.empty();
    }
    boolean four = (packet.getByte(at) >> 4) == 4;
    int header = four ? (packet.getByte(at) & 0xf) * 4 : BYTES_6;
    if (length < header + UDP_BYTES || packet.getByte(at + (four ? 9 : 6)) != UDP) {
      return Optional.empty();
    }
    if (four && (packet.getUnsignedShort(at + 6) & FRAGMENT) != 0) {
      return Optional.empty();
    }
    int udp = at + header;
    int udpLength = packet.getUnsignedShort(udp + 4);
    if (udpLength < UDP_BYTES || udpLength > length - header) {
      return Optional.empty();
    }
    return Optional.of(
        new UdpPacket(
            address(packet, at + (four ? 12 : 8), four ? 4 : 16, udp),
            address(packet, at + (four ? 16 : 24), four ? 4 : 16, udp + 2),
            packet.slice(udp + UDP_BYTES, udpLength - UDP_BYTES)));
  }

  private static InetSocketAddress address(ByteBuf packet, int at, int length, int port) {
    byte[] bytes = new byte[length];
    packet.getBytes(at, bytes);
    try {
      return new InetSocketAddress(InetAddress.getByAddress(bytes), packet.getUnsignedShort(port));
    } catch (UnknownHostException e) {
      throw new AssertionError("the length is right", e);
    }
  }

  /** The same bytes in one piece that has an address in memory; to be released. */
  static ByteBuf inOnePiece(ByteBuf bytes) {
    if (bytes.hasMemoryAddress()) {
      return bytes.retainedDuplicate();
    }
    int length = bytes.readableBytes();
    return PooledByteBufAllocator.DEFAULT
        .directBuffer(Math.max(1, length))
        .writeBytes(bytes, bytes.readerIndex(), length);
  }

  boolean ipv4() {
    return destination.getAddress() instanceof Inet4Address;
  }

  // ---- The checksum of RFC 1071: the one's complement of the one's complement sum of words. ----

  private static long sum(byte[] bytes) {
    long sum = 0;
    for (int i = 0; i < bytes.length; i += 2) {
      sum += ((bytes[i] & 0xff) << 8) | (bytes[i + 1] & 0xff);
    }
    return sum;
  }

  private static long sum(ByteBuf buffer, int from, int length) {
    long sum = 0;
    int at = from;
    int end = from + length;
    for (; at + 4 <= end; at += 4) {
      sum += buffer.getUnsignedInt(at);
    }
    for (; at + 2 <= end; at += 2) {
      sum += buffer.getUnsignedShort(at);
    }
    return at < end ? sum + (buffer.getUnsignedByte(at) << 8) : sum;
  }

  private static int fold(long sum) {
    long folded = sum;
    while (folded >>> 16 != 0) {
      folded = (folded & 0xffff) + (folded >>> 16);
    }
    return (int) (~folded & 0xffff);
  }
}
