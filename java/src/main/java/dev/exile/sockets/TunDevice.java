package dev.exile.sockets;

import dev.exile.linux.Errno;
import dev.exile.linux.Linux;
import dev.exile.linux.Tun;
import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A TUN device exileN, and the routing rules by which the kernel takes whatever a socket bound to
 * it sends as something to be sent there, and whatever comes in there as meant for this host. The
 * host's other traffic never sees the rules: each asks for the device.
 *
 * <pre>
 *   oif exileN lookup OUT     OUT: default dev exileN
 *   iif exileN lookup IN      IN:  local default dev lo
 * </pre>
 */
final class TunDevice {
  /**
   * Where the kernel chooses the address that a datagram comes from it chooses the device's own.
   */
  static final InetAddress OWN4 = literal("192.0.0.8"); // RFC 7600: dummy address

  /** The same. */
  static final InetAddress OWN6 = literal("100::8"); // RFC 6666: discard-only

  private static final String PREFIX = "exile";
  private static final int DEVICES = 128;
  private static final int FIRST_TABLE = 0x45580100;

  /** Before the main table, after the table of local addresses. */
  private static final String PREFERENCE = "17752";

  /** A datagram of any size is one packet. */
  private static final int MTU = 0xffff;

  /** Packets that wait to be read: as many as {@link ExileRoom} may bring at once for an answer. */
  private static final int QUEUE = 20_000;

  private static final int IP_SECONDS = 10;

  private final String name;
  private final int number;
  private final int fd;

  private TunDevice(int number, int fd) {
    this.name = PREFIX + number;
    this.number = number;
    this.fd = fd;
  }

  private static InetAddress literal(String address) {
    try {
      return InetAddress.getByName(address);
    } catch (UnknownHostException e) {
      throw new AssertionError("a literal", e);
    }
  }

  /** Makes the first that is free. */
  static TunDevice create() throws IOException {
    for (int number = 0; number < DEVICES; number++) {
      try {
        return new TunDevice(number, Tun.create(PREFIX + number));
      } catch (Errno e) {
        if (e.number() != Errno.EBUSY) {
          throw e;
        }
      }
    }
    throw new IOException("all " + DEVICES + " devices for datagrams are in use");
  }

  /** Whether this host has a device of that name. */
  static boolean exists(String name) {
    return Files.exists(Path.of("/proc/sys/net/ipv4/conf", name));
  }

  /** One that a former agent has made, which {@link #exists}. */
  static TunDevice open(String name) throws IOException {
    return new TunDevice(Integer.parseInt(name.substring(PREFIX.length())), Tun.open(name));
  }

  String name() {
    return name;
  }

  int fd() {
    return fd;
  }

  /** Has it outlive this agent, and sets it up. */
  void keep() throws IOException {
    Tun.persist(fd, true);
    // Addresses of this host are good clients, and so is home's loopback.
    set("ipv4/conf", "rp_filter", "0");
    set("ipv4/conf", "accept_local", "1");
    set("ipv4/conf", "route_localnet", "1");
    boolean ipv6 = Files.exists(Path.of("/proc/sys/net/ipv6/conf", name));
    if (ipv6) {
      set("ipv6/conf", "disable_ipv6", "0");
      set("ipv6/conf", "addr_gen_mode", "1"); // none: nobody is there to be found
      set("ipv6/conf", "accept_ra", "0");
    }
    removeRules(); // of a device of this name, if they could not be removed with it
    ip("-4", commands("add", OWN4.getHostAddress() + "/32", ""));
    if (ipv6) {
      ip("-6", commands("add", OWN6.getHostAddress() + "/128", " nodad"));
    }
  }

  private void set(String family, String key, String value) throws IOException {
    Files.writeString(Path.of("/proc/sys/net", family, name, key), value);
  }

  private List<String> commands(String verb, String own, String options) {
    List<String> commands = new ArrayList<>();
    if (verb.equals("add")) {
      commands.add("link set dev %s mtu %d txqueuelen %d up".formatted(name, MTU, QUEUE));
      commands.add("addr add %s dev %s%s".formatted(own, name, options));
      commands.add("route add default dev %s table %d".formatted(name, outTable()));
      commands.add("route add local default dev lo table %d".formatted(inTable()));
    }
    commands.add("rule %s pref %s oif %s lookup %d".formatted(verb, PREFERENCE, name, outTable()));
    commands.add("rule %s pref %s iif %s lookup %d".formatted(verb, PREFERENCE, name, inTable()));
    return commands;
  }

  private int outTable() {
    return FIRST_TABLE + 2 * number;
  }

  private int inTable() {
    return outTable() + 1;
  }

  /**
   * Removes it and its rules; whatever of it is not there any more is passed over. It is gone then
   * even where this fails: rules that are left over do no harm, and go with the next of its name.
   */
  void remove() throws IOException {
    try {
      removeRules();
    } finally {
      try {
        Tun.persist(fd, false);
      } finally {
        Linux.close(fd);
      }
    }
  }

  private void removeRules() throws IOException {
    for (String family : List.of("-4", "-6")) {
      List<String> commands = commands("del", "", "");
      commands.add("route del local default dev lo table " + inTable());
      ip("-force", family, commands);
    }
  }

  private static void ip(String family, List<String> commands) throws IOException {
    Process process = start("ip", family, "-batch", "-");
    String said = talk(process, commands);
    if (process.exitValue() != 0) {
      throw new IOException("ip " + family + " -batch failed: " + said.strip());
    }
  }

  private static void ip(String force, String family, List<String> commands) throws IOException {
    talk(start("ip", force, family, "-batch", "-"), commands);
  }

  private static Process start(String... command) throws IOException {
    return new ProcessBuilder(command).redirectErrorStream(true).start();
  }

  private static String talk(Process process, List<String> commands) throws IOException {
    try (var in = process.getOutputStream()) {
      in.write((String.join("\n", commands) + "\n").getBytes(StandardCharsets.US_ASCII));
    }
    try {
      // What it says fits into the pipe: it does not wait for a reader.
      if (!process.waitFor(IP_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException("ip did not end within " + IP_SECONDS + " s");
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while ip ran", e);
    }
    return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
  }
}
