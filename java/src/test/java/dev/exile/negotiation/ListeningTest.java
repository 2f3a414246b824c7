package dev.exile.negotiation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ListeningTest {

  @ParameterizedTest
  @CsvSource({
    "0100007F, 127.0.0.1",
    "00000000, 0.0.0.0",
    "01024D0A, 10.77.2.1",
    "00000000000000000000000000000000, ::",
    "00000000000000000000000001000000, ::1",
    "B80D0120000000000000000005000000, 2001:db8::5",
    "0000000000000000FFFF00000100007F, 127.0.0.1", // v4-mapped: Java knows it as IPv4 only
  })
  void addressesAreReadAsTheKernelPrintsThem(String hex, String address)
      throws UnknownHostException {
    assertEquals(InetAddress.getByName(address), Listening.parse(hex));
  }

  @Test
  void listenerConflictsWithItsOwnAddressAndTheWildcards() throws IOException {
    try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      int port = server.getLocalPort();
      assertConflict("127.0.0.1", port);
      assertConflict("0.0.0.0", port);
      assertConflict("::", port);
      assertNoConflict("127.0.0.2", port);
      assertNoConflict("::1", port);
    }
  }

  @Test
  void listenerOnTheWildcardConflictsWithEveryAddressOfItsFamily() throws IOException {
    try (ServerSocket server = new ServerSocket(0)) { // Java's is [::], which takes IPv4 too
      int port = server.getLocalPort();
      assertConflict("127.0.0.1", port);
      assertConflict("::1", port);
      assertConflict("0.0.0.0", port);
      assertConflict("::", port);
    }
  }

  @Test
  void portIsFreeOnceItsListenerHasGone() throws IOException {
    int port;
    try (ServerSocket server = new ServerSocket(0)) {
      port = server.getLocalPort();
    }
    assertNoConflict("0.0.0.0", port);
  }

  private static void assertConflict(String address, int port) throws UnknownHostException {
    assertTrue(Listening.conflicts(InetAddress.getByName(address), port), address);
  }

  private static void assertNoConflict(String address, int port) throws UnknownHostException {
    assertFalse(Listening.conflicts(InetAddress.getByName(address), port), address);
  }
}
