package dev.exile.sockets;

import dev.exile.linux.DatagramIo;
import dev.exile.linux.Udp;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.function.Consumer;

/**
 * What waits in a UDP socket's queue, as IP packets that tell both addresses. The kernel has to
 * tell of each datagram where it was sent to, see {@link Udp#tellDestinations}.
 */
final class UdpPackets {
  /** The largest payload, in bytes. */
  private static final int LARGEST = 0xffff;

  private final int fd;
  private final InetSocketAddress local;
  private final DatagramIo io;

  /**
   * @param fd belongs to somebody else
   * @param local its own address
   */
  UdpPackets(int fd, InetSocketAddress local, DatagramIo io) {
    this.fd = fd;
    this.local = local;
    this.io = io;
  }

  /**
   * Takes the next one.
   *
   * @param to is given its packet, to be released; or several where they were received as one; or
   *     none where it cannot be told by a packet
   * @return a negative errno, -EAGAIN where there is none
   */
  int take(Consumer<ByteBuf> to) {
    return next(false, to);
  }

  /** The same, but it stays where it is; see {@link Udp#peekFrom} on which one it is. */
  int peek(Consumer<ByteBuf> to) {
    return next(true, to);
  }

  private int next(boolean stays, Consumer<ByteBuf> to) {
    ByteBuf buffer = PooledByteBufAllocator.DEFAULT.directBuffer(UdpPacket.HEADROOM + LARGEST);
    long address = buffer.memoryAddress() + UdpPacket.HEADROOM;
    int got = stays ? io.peek(fd, address, LARGEST) : io.receive(fd, address, LARGEST);
    if (got < 0) {
      buffer.release();
      return got;
    }
    forward(buffer.writerIndex(UdpPacket.HEADROOM + got), to);
    return got;
  }

  /**
   * The process may have asked the kernel for several datagrams as one. It is left so: of those
   * that wait already the kernel would tell no boundaries otherwise.
   */
  private void forward(ByteBuf buffer, Consumer<ByteBuf> to) {
    int segment = io.segment();
    int end = buffer.writerIndex();
    if (segment <= 0 || UdpPacket.HEADROOM + segment >= end) {
      forwardOne(buffer, to);
      return;
    }
    try {
      for (int at = UdpPacket.HEADROOM; at < end; at += segment) {
        int length = Math.min(segment, end - at);
        ByteBuf one = buffer.alloc().directBuffer(UdpPacket.HEADROOM + length);
        forwardOne(one.writeZero(UdpPacket.HEADROOM).writeBytes(buffer, at, length), to);
      }
    } finally {
      buffer.release();
    }
  }

  private void forwardOne(ByteBuf buffer, Consumer<ByteBuf> to) {
    InetSocketAddress source = io.source();
    InetAddress address = destination();
    if (source == null || !suits(source.getAddress(), address)) {
      buffer.release();
      return;
    }
    UdpPacket.wrap(buffer, source, new InetSocketAddress(address, local.getPort()));
    to.accept(fitting(buffer));
  }

  /** The address that the process is told the datagram was sent to. */
  private InetAddress destination() {
    InetAddress told = io.destination();
    if (told == null) {
      return local.getAddress();
    }
    // To a group the destination's kernel would not let it in.
    return told.isMulticastAddress() && told instanceof Inet4Address ? TunDevice.OWN4 : told;
  }

  /** A small datagram must not hold a large buffer while it waits. */
  private static ByteBuf fitting(ByteBuf packet) {
    int length = packet.readableBytes();
    if (length > LARGEST / 2) {
      return packet;
    }
    try {
      return packet.alloc().directBuffer(length, length).writeBytes(packet);
    } finally {
      packet.release();
    }
  }

  /** What an IPv6 packet on a device can carry: limits.md. */
  private static boolean suits(InetAddress source, InetAddress destination) {
    boolean same = source instanceof Inet4Address == destination instanceof Inet4Address;
    boolean limited =
        !(source instanceof Inet4Address)
            && (source.isLoopbackAddress()
                || source.isLinkLocalAddress()
                || destination.isMulticastAddress());
    return same && !limited;
  }
}
