package dev.exile.agent;

import dev.exile.keys.HostNames;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Locale;

/**
 * Where an agent listens for others.
 *
 * @param address numeric, IPv4 or IPv6 without brackets
 * @param port of its gRPC services; its carrier listens on the next one
 */
public record HostPort(String address, int port) {
  /**
   * Parses {@code 10.0.0.2}, {@code 10.0.0.2:7433}, {@code fd00::2} or {@code [fd00::2]:7433}.
   *
   * @throws IllegalArgumentException saying what is wrong
   */
  public static HostPort parse(String text, int defaultPort) {
    String address = text;
    String port = null;
    int colon = text.lastIndexOf(':');
    if (text.startsWith("[")) {
      int end = text.indexOf(']');
      if (end < 0 || (end + 1 < text.length() && text.charAt(end + 1) != ':')) {
        throw new IllegalArgumentException(
            "'" + text + "' is no address: write [IPV6]:PORT, as in [fd00::2]:7433");
      }
      address = text.substring(1, end);
      port = end + 1 < text.length() ? text.substring(end + 2) : null;
    } else if (colon >= 0 && colon == text.indexOf(':')) {
      address = text.substring(0, colon);
      port = text.substring(colon + 1);
    }
    HostNames.requireAddress(address);
    return new HostPort(address, port == null ? defaultPort : requirePort(port));
  }

  /**
   * Parses a port that leaves room for the carrier's, the next one.
   *
   * @throws IllegalArgumentException if it is no number from 1 to 65534
   */
  static int requirePort(String text) {
    if (text.matches("[0-9]{1,5}")) {
      int port = Integer.parseInt(text);
      if (port >= 1 && port <= 65_534) {
        return port;
      }
    }
    throw new IllegalArgumentException(
        String.format(
            Locale.ROOT,
            "'%s' is no port: use 1 to 65534 (the carrier listens on the next one)",
            text));
  }

  /** The parsed address, without a port. */
  public InetAddress inetAddress() {
    return HostNames.requireAddress(address);
  }

  /** Where its gRPC services listen. */
  public InetSocketAddress control() {
    return new InetSocketAddress(inetAddress(), port);
  }

  /** Where its carrier listens. */
  public InetSocketAddress carrier() {
    return new InetSocketAddress(inetAddress(), port + 1);
  }

  @Override
  public String toString() {
    return (address.indexOf(':') >= 0 ? "[" + address + "]" : address) + ":" + port;
  }
}
