package dev.exile.sockets;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.SocketAddressBytes;
import dev.exile.linux.Udp;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WaitingDatagramsTest {
  private static final InetAddress OWN = InetAddress.getLoopbackAddress();

  @TempDir private Path images;
  private int fd;
  private TakenDatagrams taken;
  private DatagramSocket sender;

  @BeforeEach
  void bind() throws IOException {
    fd = Udp.socket(SocketAddressBytes.AF_INET);
    Udp.bind(fd, SocketAddressBytes.of(SocketAddressBytes.AF_INET, OWN, 0));
    InetSocketAddress local = Inet.localAddress(fd).toInet();
    taken = new TakenDatagrams(1, 1, fd, fd, false, local, null, "");
    sender = new DatagramSocket(0, OWN);
  }

  @AfterEach
  void close() throws IOException {
    sender.close();
    Linux.close(fd);
  }

  private void send(String text) throws IOException {
    byte[] bytes = text.getBytes(US_ASCII);
    sender.send(new DatagramPacket(bytes, bytes.length, taken.local()));
  }

  private List<UdpPacket> saved() throws IOException {
    Path image = images.resolve(WaitingDatagrams.IMAGE);
    int count = WaitingDatagrams.save(image, List.of(taken));
    ByteBuf bytes = Unpooled.wrappedBuffer(Files.readAllBytes(image));
    List<UdpPacket> packets = new ArrayList<>();
    while (bytes.isReadable()) {
      packets.add(UdpPacket.of(bytes.readSlice(UdpPacket.length(bytes))).orElseThrow());
    }
    assertEquals(count, packets.size());
    return packets;
  }

  private static List<String> texts(List<UdpPacket> packets) {
    return packets.stream().map(packet -> packet.payload().toString(US_ASCII)).toList();
  }

  @Test
  void allAreSavedInTheirOrderWithBothAddresses() throws IOException {
    send("one");
    send("");
    send("x".repeat(60_000));
    send("four");

    List<UdpPacket> packets = saved();

    assertEquals(List.of("one", "", "x".repeat(60_000), "four"), texts(packets));
    for (UdpPacket packet : packets) {
      assertEquals(sender.getLocalSocketAddress(), packet.source());
      assertEquals(taken.local(), packet.destination());
    }
  }

  @Test
  void theyStayInTheQueueAndTheSocketAsItWas() throws IOException {
    send("one");
    send("two");

    saved();

    assertEquals(List.of("one", "two"), texts(saved()));
    assertEquals(false, Udp.tellDestinations(fd, false));
    assertEquals(-1, Udp.peekFrom(fd, -1));
  }

  @Test
  void nothingWaits() throws IOException {
    assertEquals(List.of(), saved());
  }
}
