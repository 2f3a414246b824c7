package dev.exile.sockets;

import dev.exile.linux.ForeignTcp;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lets sockets of this host bear the addresses of others, so that a process that has moved here
 * still sees those that it saw at home: packets with {@link ForeignTcp#MARK} stay on the loopback
 * device, whatever their addresses.
 *
 * <pre>
 *   ip rule add fwmark MARK lookup TABLE          and the same for IPv6
 *   ip route add local default dev lo table TABLE
 *   net.ipv4.tcp_fwmark_accept = 1                what a listener accepts bears the mark, too
 *   net.ipv{4,6}.ip_nonlocal_bind = 1             CRIU may bind a listener to home's own address
 * </pre>
 *
 * <p>They are there while a migration uses them, also over a restart of the agent: what the sysctls
 * were before is kept in a file. Thread-safe.
 */
public final class ForeignRoutes {
  private static final Logger LOG = LoggerFactory.getLogger(ForeignRoutes.class);
  private static final String NUMBER = "0x" + Integer.toHexString(ForeignTcp.MARK);

  /** Right after the rule for the host's own addresses, which may well be among them. */
  private static final String PREFERENCE = "1";

  private static final Path SYSCTLS = Path.of("/proc/sys/net");
  private static final List<String> NEEDED = List.of("ipv4/tcp_fwmark_accept");
  private static final List<String> FOR_LISTENERS =
      List.of("ipv4/ip_nonlocal_bind", "ipv6/ip_nonlocal_bind");

  private static final long COMMAND_SECONDS = 10;

  /** How long the host's own addresses are remembered. */
  private static final long LOCAL_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final Path record;
  private final Set<String> users = new HashSet<>();
  private boolean made;
  private volatile boolean ipv4;
  private volatile boolean ipv6;
  private volatile Own own;

  /** The host's own addresses as they were then. */
  private record Own(Set<InetAddress> addresses, long nanos) {}

  /**
   * @param record where is kept what the sysctls were before; null: no routes are made, all
   *     addresses are this host's own
   */
  private ForeignRoutes(Path record) {
    this.record = record;
  }

  /**
   * Those of a host.
   *
   * @param run the agent's run directory
   */
  public static ForeignRoutes in(Path run) {
    return new ForeignRoutes(run.resolve("sysctls"));
  }

  /** For relays that need none: addresses are of the loopback device. */
  public static ForeignRoutes none() {
    return new ForeignRoutes(null);
  }

  /** Whether a listener could be given an address that is not this host's own. */
  public static boolean canBindForeign(InetAddress address) {
    String sysctl = FOR_LISTENERS.get(address instanceof Inet6Address ? 1 : 0);
    return Files.isWritable(SYSCTLS.resolve(sysctl)) && !address.isLinkLocalAddress();
  }

  /**
   * A migration needs them, until it {@link #release}s them. Where they cannot be, the log says.
   */
  public synchronized void acquire(String migration) {
    users.add(migration);
    if (made || record == null) {
      return;
    }
    made = true;
    try {
      if (!Files.exists(record)) {
        Files.createFile(record); // so that the next agent knows that there is something to remove
      }
      for (String sysctl : NEEDED) {
        raise(sysctl);
      }
      ipv4 = make("-4");
    } catch (IOException e) {
      LOG.warn("processes that move here will see addresses of loopback: {}", e.getMessage());
      return;
    }
    for (String sysctl : FOR_LISTENERS) {
      try {
        raise(sysctl);
      } catch (IOException e) {
        LOG.warn("no process that listens on another host's address can come: {}", e.getMessage());
      }
    }
    try {
      ipv6 = hasIpv6() && make("-6");
    } catch (IOException e) {
      LOG.warn("processes that move here will see IPv6's loopback: {}", e.getMessage());
    }
  }

  /** The migration has no sockets here any more. May be called again. */
  public synchronized void release(String migration) {
    if (users.remove(migration) && users.isEmpty() && record != null) {
      remove();
    }
  }

  /** Removes what a former agent has left that no migration of this one needs. */
  public synchronized void tidy() {
    if (users.isEmpty() && record != null && Files.exists(record)) {
      remove();
    }
  }

  /**
   * Keeps what a former agent has left for as long as this one runs: a process may need it that
   * could not be taken up.
   */
  public synchronized void keep() {
    if (record != null && Files.exists(record)) {
      acquire("what could not be taken up");
    }
  }

  /**
   * Whether a connection of the process may bear the addresses that it had at home. Where home's
   * address is one of this host's own, a true connection from elsewhere could be taken for it.
   *
   * @param home the process's side; null where not known
   * @param peer the other side; null where not known
   */
  boolean allow(InetSocketAddress home, InetSocketAddress peer) {
    if (home == null || peer == null) {
      return false;
    }
    InetAddress ours = home.getAddress();
    InetAddress theirs = peer.getAddress();
    return reach(ours)
        && ours.getClass() == theirs.getClass()
        && !ours.isLinkLocalAddress()
        && !theirs.isLinkLocalAddress()
        && (!isOwn(ours) || isOwn(theirs));
  }

  /** Whether an address that is not this host's own can be reached here. */
  boolean reach(InetAddress address) {
    return address instanceof Inet6Address ? ipv6 : ipv4;
  }

  /** 127.0.0.1 or ::1. */
  static InetAddress loopback(boolean ipv6) {
    byte[] bytes = ipv6 ? new byte[16] : new byte[] {127, 0, 0, 0};
    bytes[bytes.length - 1] = 1;
    try {
      return InetAddress.getByAddress(bytes);
    } catch (UnknownHostException e) {
      throw new AssertionError("4 or 16 bytes", e);
    }
  }

  private boolean isOwn(InetAddress address) {
    if (address.isLoopbackAddress()) {
      return true;
    }
    Own known = own;
    if (known == null || System.nanoTime() - known.nanos() > LOCAL_NANOS) {
      try {
        known =
            new Own(
                NetworkInterface.networkInterfaces()
                    .flatMap(NetworkInterface::inetAddresses)
                    .collect(Collectors.toSet()),
                System.nanoTime());
      } catch (SocketException e) {
        LOG.warn("this host's addresses cannot be listed: {}", e.getMessage());
        return true;
      }
      own = known;
    }
    return known.addresses().contains(address);
  }

  private static boolean make(String family) throws IOException {
    ip(family, "route", "add", "local", "default", "dev", "lo", "table", NUMBER);
    ip(family, "rule", "add", "fwmark", NUMBER, "lookup", NUMBER, "pref", PREFERENCE);
    return true;
  }

  private void remove() {
    made = false;
    ipv4 = false;
    ipv6 = false;
    boolean gone =
        removed("-4", "rule", "del", "fwmark", NUMBER, "lookup", NUMBER, "pref", PREFERENCE);
    gone &= removed("-4", "route", "flush", "table", NUMBER);
    if (hasIpv6()) {
      gone &= removed("-6", "rule", "del", "fwmark", NUMBER, "lookup", NUMBER, "pref", PREFERENCE);
      gone &= removed("-6", "route", "flush", "table", NUMBER);
    }
    try {
      if (Files.exists(record)) {
        for (String line : Files.readAllLines(record)) {
          String[] words = line.split(" ", 2);
          Files.writeString(SYSCTLS.resolve(words[0]), words[1]);
        }
        if (gone) {
          Files.delete(record); // else it tells the next agent to try again
        }
      }
    } catch (IOException e) {
      LOG.warn("a sysctl is left changed, see {}: {}", record, e.toString());
    }
  }

  private static boolean removed(String... arguments) {
    try {
      ip(arguments);
      return true;
    } catch (IOException e) {
      LOG.warn("a route of relayed connections is left behind: {}", e.getMessage());
      return false;
    }
  }

  private static boolean hasIpv6() {
    return Files.exists(Path.of("/proc/net/if_inet6"));
  }

  /** Sets a sysctl to 1, and keeps what it was before. */
  private void raise(String sysctl) throws IOException {
    Path path = SYSCTLS.resolve(sysctl);
    if (!Files.exists(path)) {
      return; // no IPv6
    }
    String before = read(path);
    if (!before.equals("1")) {
      if (!Files.isWritable(path)) {
        throw new IOException(path + " is " + before + " and cannot be written");
      }
      String line = sysctl + " " + before + "\n";
      Files.writeString(record, line, StandardOpenOption.APPEND);
      Files.writeString(path, "1");
    }
  }

  /**
   * Not Files.readString: it reads a single byte first, and a numeric sysctl gives nothing more.
   */
  private static String read(Path path) throws IOException {
    try (InputStream in = new FileInputStream(path.toFile())) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8).strip();
    }
  }

  /** Runs ip(8); what is there already, or not there any more, is as it should be. */
  private static void ip(String... arguments) throws IOException {
    List<String> command = new ArrayList<>(List.of("ip"));
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      process.getOutputStream().close();
      if (!process.waitFor(COMMAND_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException(String.join(" ", command) + " does not end");
      }
      String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      boolean asItShould =
          said.contains("File exists")
              || said.contains("No such file")
              || said.contains("No such process")
              || said.contains("FIB table does not exist");
      if (process.exitValue() != 0 && !asItShould) {
        throw new IOException(String.join(" ", command) + " failed: " + said.strip());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while routes were made", e);
    }
  }
}
