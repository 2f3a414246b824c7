package dev.exile.negotiation;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;

/** Listening TCP sockets of this host, from /proc/net/tcp and tcp6 (proc_net(5)). */
final class Listening {
  private static final String LISTEN = "0A";

  private Listening() {}

  /**
   * True where a socket listens already so that another could not on that address and port: on the
   * same address, or either on the wildcard. IPv4 and the IPv6 wildcard count as one space, as a
   * listener on :: mostly takes both.
   */
  static boolean conflicts(InetAddress address, int port) {
    return conflicts("/proc/net/tcp", address, port) || conflicts("/proc/net/tcp6", address, port);
  }

  private static boolean conflicts(String table, InetAddress address, int port) {
    if (!Files.exists(Path.of(table))) {
      return false;
    }
    for (String line : Host.read(table).split("\n", -1)) {
      String[] fields = line.trim().split("\\s+", -1);
      if (fields.length < 4 || !fields[3].equals(LISTEN)) {
        continue;
      }
      String[] local = fields[1].split(":", -1);
      InetAddress other = parse(local[0]);
      if (Integer.parseInt(local[1], 16) == port
          && ((other.isAnyLocalAddress() && sameFamilyOrSix(other, address))
              || (address.isAnyLocalAddress() && sameFamilyOrSix(address, other))
              || other.equals(address))) {
        return true;
      }
    }
    return false;
  }

  private static boolean sameFamilyOrSix(InetAddress wildcard, InetAddress other) {
    return !(wildcard instanceof Inet4Address) || other instanceof Inet4Address;
  }

  /** The kernel prints addresses as 32-bit words in the machine's own byte order. */
  static InetAddress parse(String hex) {
    byte[] raw = HexFormat.of().parseHex(hex);
    ByteBuffer in = ByteBuffer.wrap(raw).order(ByteOrder.BIG_ENDIAN);
    ByteBuffer out = ByteBuffer.allocate(raw.length).order(ByteOrder.LITTLE_ENDIAN);
    while (in.hasRemaining()) {
      out.putInt(in.getInt());
    }
    try {
      return InetAddress.getByAddress(out.array());
    } catch (UnknownHostException e) {
      throw new AssertionError("4 or 16 bytes", e);
    }
  }
}
