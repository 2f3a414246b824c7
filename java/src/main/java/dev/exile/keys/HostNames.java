package dev.exile.keys;

import io.netty.util.NetUtil;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.regex.Pattern;

/** What may stand as a host's name and as a numeric address, in certificates and configurations. */
public final class HostNames {
  /** The upper bound of a common name in X.520; a host's name is its certificate's common name. */
  private static final int MAX_LENGTH = 64;

  private static final Pattern NAME =
      Pattern.compile(
          "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*");

  private HostNames() {}

  /**
   * Returns the name if it can be a host's name.
   *
   * @throws IllegalArgumentException saying why it cannot
   */
  public static String require(String name) {
    if (name.length() > MAX_LENGTH) {
      throw new IllegalArgumentException(
          "host name '" + name + "' has more than " + MAX_LENGTH + " characters");
    }
    if (!NAME.matcher(name).matches()) {
      throw new IllegalArgumentException(
          "'"
              + name
              + "' is no host name: use letters, digits and hyphens, in parts joined by dots");
    }
    if (NetUtil.isValidIpV4Address(name)) {
      throw new IllegalArgumentException("'" + name + "' is an address, not a host name");
    }
    return name;
  }

  /**
   * Parses a numeric IPv4 or IPv6 address; nothing is looked up.
   *
   * @throws IllegalArgumentException if it is not numeric, has a zone or is the wildcard
   */
  public static InetAddress requireAddress(String text) {
    // A zone ("%eth0") means something on one host only.
    boolean numeric =
        NetUtil.isValidIpV4Address(text)
            || (NetUtil.isValidIpV6Address(text) && text.indexOf('%') < 0 && !text.startsWith("["));
    if (!numeric) {
      throw new IllegalArgumentException("'" + text + "' is no numeric IPv4 or IPv6 address");
    }
    InetAddress address;
    try {
      address = InetAddress.getByName(text);
    } catch (UnknownHostException e) {
      throw new IllegalArgumentException("'" + text + "' is no numeric IPv4 or IPv6 address", e);
    }
    if (address.isAnyLocalAddress()) {
      throw new IllegalArgumentException(
          "'" + text + "' is the wildcard address; name the one that other hosts connect to");
    }
    return address;
  }
}
