package dev.exile.sockets;

import dev.exile.linux.DatagramIo;
import dev.exile.linux.Errno;
import dev.exile.linux.Inet;
import dev.exile.linux.SocketAddressBytes;
import dev.exile.linux.Udp;
import io.netty.buffer.ByteBuf;
import io.netty.channel.IoEventLoop;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One of the process's real UDP sockets at home, on an event loop: its datagrams go into a {@link
 * PacketStream}, and are taken out of the kernel's queue only as the stream takes them.
 */
final class UdpSocket {
  private static final Logger log = LoggerFactory.getLogger(UdpSocket.class);

  /** Reads in a row before other sockets of the loop get their turn. */
  private static final int READS_PER_TURN = 64;

  /** A socket may have so many errors waiting, of hosts that have refused earlier datagrams. */
  static final int MOST_ERRORS = 16;

  /** It does not suit at all. */
  private static final int UNFIT = -1;

  private final int fd;
  private final int family;
  private final boolean takesIpv4;
  private final InetSocketAddress local;
  private final InetSocketAddress peer;
  private final DatagramIo io;
  private final UdpPackets packets;
  private ReadyHandle handle;
  private PacketStream out;
  private boolean readable;

  /**
   * Looks at the socket.
   *
   * @param fd belongs to somebody else
   */
  UdpSocket(int fd, DatagramIo io) throws IOException {
    this.fd = fd;
    this.io = io;
    family = Inet.domain(fd);
    takesIpv4 = family == SocketAddressBytes.AF_INET || !Inet.ipv6Only(fd);
    local = Inet.localAddress(fd).toInet();
    SocketAddressBytes connected = Inet.peerAddress(fd);
    peer = connected == null ? null : connected.toInet();
    Udp.tellDestinations(fd, true);
    packets = new UdpPackets(fd, local, io);
  }

  int port() {
    return local.getPort();
  }

  /** Begins to read. */
  void open(PacketStream stream, IoEventLoop loop) {
    out = stream;
    handle = new ReadyHandle(fd, this::ready);
    handle.watch(loop);
  }

  /** Reads no more; the socket stays as it is. */
  void detach() {
    if (handle != null) {
      handle.detach();
    }
    readable = false;
  }

  private void ready() {
    readable = true;
    read();
  }

  /** Reads what the stream takes. */
  void read() {
    int errors = 0;
    for (int turn = 0; readable && out.isWritable(); turn++) {
      if (turn == READS_PER_TURN) {
        out.flush();
        out.loop().execute(this::read);
        return;
      }
      int got = packets.take(out::write);
      if (got == -Errno.EAGAIN) {
        readable = false;
      } else if (got < 0 && ++errors > MOST_ERRORS) {
        log.error("datagrams of {} are not forwarded any more: errno {}", local, -got);
        readable = false;
      }
    }
    out.flush();
  }

  /** How well this socket suits a packet of the process: it came from this very one at best. */
  int fitness(UdpPacket packet) {
    InetAddress from = packet.source().getAddress();
    if (packet.ipv4() ? !takesIpv4 : family != SocketAddressBytes.AF_INET6) {
      return UNFIT;
    }
    boolean wild = local.getAddress().isAnyLocalAddress();
    if (!wild && !local.getAddress().equals(from)) {
      return UNFIT;
    }
    int fitness = wild ? 1 : 2;
    if (peer != null) {
      fitness += peer.equals(packet.destination()) ? 4 : -1;
    }
    return fitness;
  }

  /**
   * Sends what the process has sent.
   *
   * @param chosen whether the process itself has chosen the address that it comes from
   */
  void send(UdpPacket packet, boolean chosen) {
    ByteBuf payload = packet.payload();
    ByteBuf direct = UdpPacket.inOnePiece(payload);
    try {
      InetAddress from =
          chosen && local.getAddress().isAnyLocalAddress() ? packet.source().getAddress() : null;
      int error = send(packet, from, direct);
      if (error == -Errno.ECONNREFUSED) {
        error = send(packet, from, direct); // that was about an earlier one
      }
      if (error < 0) {
        log.debug("a datagram to {} is not sent: errno {}", packet.destination(), -error);
      }
    } finally {
      direct.release();
    }
  }

  private int send(UdpPacket packet, InetAddress from, ByteBuf payload) {
    return io.send(
        fd,
        family,
        from,
        packet.destination(),
        payload.memoryAddress() + payload.readerIndex(),
        payload.readableBytes());
  }
}
