package dev.exile.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SocketAddressBytesTest {

  private static String hex(SocketAddressBytes address) {
    return HexFormat.of().formatHex(address.bytes(), 0, address.length());
  }

  private static SocketAddressBytes read(String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex);
    return new SocketAddressBytes(
        Arrays.copyOf(bytes, SocketAddressBytes.MAX_LENGTH), bytes.length);
  }

  // Laid out by hand after struct sockaddr_in and sockaddr_in6.
  @ParameterizedTest
  @CsvSource({
    "2, 10.77.0.1, 6379, 020018eb0a4d00010000000000000000",
    "2, 255.255.255.255, 65535, 0200ffffffffffff0000000000000000",
    "10, fd77::1, 6379, 0a0018eb00000000fd77000000000000000000000000000100000000",
    "10, 10.77.0.1, 80, 0a0000500000000000000000000000000000ffff0a4d000100000000",
  })
  void isLaidOutAsTheKernelWantsIt(int family, String address, int port, String hex)
      throws UnknownHostException {
    SocketAddressBytes bytes = SocketAddressBytes.of(family, InetAddress.getByName(address), port);
    assertEquals(hex, hex(bytes));
    assertEquals(family, bytes.family());
    assertEquals(new InetSocketAddress(address, port), bytes.toInet());
    assertEquals(bytes.toInet(), read(hex).toInet());
  }

  @Test
  void scopeOfALinkLocalAddressIsKept() throws UnknownHostException {
    byte[] local = HexFormat.of().parseHex("fe800000000000000000000000000001");
    InetAddress scoped = Inet6Address.getByAddress(null, local, 7);
    assertTrue(hex(SocketAddressBytes.of(10, scoped, 1)).endsWith("07000000"));
  }

  @Test
  void mappedIpv4AddressIsKnown() throws UnknownHostException {
    InetAddress four = InetAddress.getByAddress(new byte[] {127, 0, 0, 1});
    assertTrue(SocketAddressBytes.of(SocketAddressBytes.AF_INET6, four, 1).mapped());
    assertFalse(SocketAddressBytes.of(SocketAddressBytes.AF_INET, four, 1).mapped());
    InetAddress six = InetAddress.getByAddress(new byte[16]);
    assertFalse(SocketAddressBytes.of(SocketAddressBytes.AF_INET6, six, 1).mapped());
  }

  @Test
  void addressOfAnotherFamilyIsNone() {
    SocketAddressBytes unix = read("01002f72756e2f736f636b657400");
    assertEquals(1, unix.family());
    assertNull(unix.toInet());
    assertEquals("family 1", unix.toString());
    assertEquals(0, read("").family());
  }
}
