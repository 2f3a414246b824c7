package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class UdpPacketTest {
  private static InetSocketAddress address(String host, int port) throws UnknownHostException {
    return new InetSocketAddress(InetAddress.getByName(host), port);
  }

  private static ByteBuf packet(String source, String destination, byte[] payload)
      throws UnknownHostException {
    ByteBuf buffer = Unpooled.buffer();
    buffer.writerIndex(UdpPacket.HEADROOM);
    buffer.writeBytes(payload);
    UdpPacket.wrap(buffer, address(source, 5555), address(destination, 53));
    return buffer;
  }

  /** Bytes that Linux has taken from a TUN device and delivered. */
  @Test
  void ipv4PacketIsWhatTheStandardsSay() throws UnknownHostException {
    ByteBuf packet = packet("10.77.0.3", "10.77.0.1", "hello".getBytes(StandardCharsets.US_ASCII));

    assertEquals(
        "45000021"
            + "00004000"
            + "4011262f"
            + "0a4d0003"
            + "0a4d0001" // IP
            + "15b30035"
            + "000d917c" // UDP
            + "68656c6c6f",
        ByteBufUtil.hexDump(packet));
  }

  @ParameterizedTest
  @CsvSource({
    "10.77.0.3, 10.77.0.1, 0",
    "10.77.0.3, 10.77.0.1, 1",
    "127.0.0.1, 127.0.0.1, 1000",
    "255.255.255.254, 255.255.255.254, 65507",
    "fd77::3, fd77::1, 0",
    "fd77::3, fd77::1, 7",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe, fd77::1, 65487",
  })
  void whatIsWrappedIsFoundAgainAndItsChecksumsAreRight(String from, String to, int size)
      throws UnknownHostException {
    byte[] payload = new byte[size];
    for (int i = 0; i < size; i++) {
      payload[i] = (byte) (i * 31 + 200);
    }
    ByteBuf packet = packet(from, to, payload);

    assertEquals(packet.readableBytes(), UdpPacket.length(packet));
    UdpPacket found = UdpPacket.of(packet).orElseThrow();
    assertEquals(address(from, 5555), found.source());
    assertEquals(address(to, 53), found.destination());
    assertEquals(Unpooled.wrappedBuffer(payload), found.payload());
    assertChecksums(packet);
  }

  /** A receiver adds up all words, the checksum among them, and gets all ones. */
  private static void assertChecksums(ByteBuf packet) {
    boolean four = (packet.getByte(packet.readerIndex()) >> 4) == 4;
    int header = four ? 20 : 40;
    int at = packet.readerIndex();
    if (four) {
      assertEquals(0xffff, add(packet, at, 20, 0));
    }
    int udpLength = packet.readableBytes() - header;
    int addresses = four ? 8 : 32;
    int pseudo = add(packet, at + header - addresses, addresses, 17 + udpLength);
    assertEquals(0xffff, add(packet, at + header, udpLength, pseudo));
    assertTrue(packet.getUnsignedShort(at + header + 6) != 0, "0 would say that there is none");
  }

  private static int add(ByteBuf bytes, int from, int length, int start) {
    int sum = start;
    for (int i = 0; i < length; i += 2) {
      int low = i + 1 < length ? bytes.getUnsignedByte(from + i + 1) : 0;
      sum += (bytes.getUnsignedByte(from + i) << 8) | low;
      sum = (sum & 0xffff) + (sum >>> 16);
    }
    return (sum & 0xffff) + (sum >>> 16);
  }

  @Test
  void aSumOfZeroIsWrittenAsAllOnes() throws UnknownHostException {
    // Chosen so that all words add up to all ones: pseudo header, ports, length and payload.
    ByteBuf first = packet("10.0.0.1", "10.0.0.2", new byte[2]);
    int checksum = first.getUnsignedShort(first.readerIndex() + 26);
    ByteBuf second =
        packet("10.0.0.1", "10.0.0.2", new byte[] {(byte) (checksum >> 8), (byte) checksum});

    assertEquals(0xffff, second.getUnsignedShort(second.readerIndex() + 26));
    assertChecksums(second);
  }

  @Test
  void whatIsNoDatagramIsPassedOver() throws UnknownHostException {
    ByteBuf icmp = packet("10.77.0.3", "10.77.0.1", new byte[8]);
    icmp.setByte(icmp.readerIndex() + 9, 1);
    ByteBuf fragment = packet("10.77.0.3", "10.77.0.1", new byte[8]);
    fragment.setShort(fragment.readerIndex() + 6, 0x2000);
    ByteBuf cut = packet("10.77.0.3", "10.77.0.1", new byte[8]);
    ByteBuf liar = packet("fd77::3", "fd77::1", new byte[8]);
    liar.setShort(liar.readerIndex() + 44, 17);

    assertTrue(UdpPacket.of(icmp).isEmpty());
    assertTrue(UdpPacket.of(fragment).isEmpty());
    assertTrue(UdpPacket.of(cut.slice(cut.readerIndex(), 30)).isEmpty());
    assertTrue(UdpPacket.of(liar).isEmpty());
    assertTrue(UdpPacket.of(Unpooled.wrappedBuffer(new byte[3])).isEmpty());
    assertEquals(-1, UdpPacket.length(Unpooled.wrappedBuffer(new byte[] {0, 0, 0, 0, 0, 0})));
    assertEquals(-1, UdpPacket.length(Unpooled.wrappedBuffer(new byte[] {0x45, 0, 0, 0, 0, 0})));
  }
}
