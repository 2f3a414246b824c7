package dev.exile.negotiation;

import dev.exile.criu.Criu;
import dev.exile.linux.Errno;
import dev.exile.linux.Tun;
import dev.exile.linux.Udp;
import dev.exile.rpc.peer.FileNeed;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.PortNeed;
import dev.exile.sockets.ForeignRoutes;
import java.io.IOException;
import java.lang.module.ModuleDescriptor.Version;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The destination's half of the negotiation: whether this host can take the process. One method per
 * requirement; every one is asked, so that the operator sees all reasons at once.
 */
public final class Admission {
  private final Offer offer;
  private final String host;
  private final List<Refusal> refusals = new ArrayList<>();
  private final List<String> streamed = new ArrayList<>();

  private Admission(Offer offer, String host) {
    this.offer = offer;
    this.host = host;
  }

  /**
   * What this host says to an offer.
   *
   * @param refusals every reason why it cannot take the process; empty where it can
   * @param streamed files that it lacks, and that home is to go on writing
   */
  public record Verdict(List<Refusal> refusals, List<String> streamed) {}

  /**
   * Judges an offer.
   *
   * @param host this host's name
   * @param images where images are received
   * @param reservedBytes what other migrations under way have been promised there
   */
  public static Verdict judge(
      Offer offer, String host, Criu criu, FileDigest digests, Path images, long reservedBytes)
      throws IOException {
    Admission admission = new Admission(offer, host);
    admission.architecture();
    admission.kernel();
    admission.cpu();
    admission.criu(criu);
    for (FileNeed need : offer.getFilesList()) {
      admission.file(need, digests);
    }
    admission.ports();
    admission.datagrams();
    admission.unixSockets();
    admission.memory(images);
    admission.images(images, reservedBytes);
    admission.store();
    admission.limits();
    return new Verdict(List.copyOf(admission.refusals), List.copyOf(admission.streamed));
  }

  private void refuse(String what, String remedy) {
    refusals.add(new Refusal(what, remedy));
  }

  private void architecture() {
    if (!offer.getArchitecture().equals(Host.architecture())) {
      refuse(
          host
              + " is a "
              + Host.architecture()
              + ", the process runs on "
              + offer.getArchitecture(),
          "choose a destination of the same architecture");
    }
  }

  private void kernel() {
    if (majorMinor(Host.kernel()).compareTo(majorMinor(offer.getKernel())) < 0) {
      refuse(
          "kernel %s of %s is older than home's %s"
              .formatted(Host.kernel(), host, offer.getKernel()),
          "the process may use what the older kernel lacks; update " + host);
    }
  }

  private static Version majorMinor(String release) {
    Matcher matcher = Pattern.compile("^(\\d+\\.\\d+)").matcher(release);
    return Version.parse(matcher.find() ? matcher.group(1) : "0");
  }

  private void cpu() {
    Set<String> missing = new HashSet<>(offer.getCpuFeaturesList());
    missing.removeAll(Host.cpuFeatures());
    if (!missing.isEmpty()) {
      refuse(
          "the CPU of " + host + " lacks " + String.join(", ", missing),
          "choose a destination with at least home's CPU features");
    }
  }

  private void criu(Criu criu) {
    if (criu.olderThan(offer.getCriuVersion())) {
      refuse(
          "CRIU %s at %s is older than home's %s"
              .formatted(criu.version(), host, offer.getCriuVersion()),
          "run scripts/setup on " + host);
    }
  }

  private void file(FileNeed need, FileDigest digests) throws IOException {
    Path path = Path.of(need.getPath());
    if (need.getStreamable() && !isThatFile(path, need)) {
      streamed.add(need.getPath());
      return;
    }
    String what = need.getExecutable() ? "the executable " + path : path.toString();
    if (need.getDirectory() ? !Files.isDirectory(path) : !Files.isRegularFile(path)) {
      refuse(what + " is missing on " + host, "install or copy it there");
      return;
    }
    if (need.getDirectory()) {
      return;
    }
    if (need.getSha256().isEmpty()) {
      long size = Files.size(path);
      boolean same = need.getGrowing() ? size >= need.getSize() : size == need.getSize();
      if (!same && need.getSize() >= 0) {
        refuse(
            "%s has %d bytes on %s, %d at home".formatted(what, size, host, need.getSize()),
            "both hosts need the same file; share the file system or copy it");
      }
      return;
    }
    String buildId = FileDigest.buildId(path);
    if (!need.getBuildId().equals(buildId)) {
      refuse(
          "%s is another version on %s (build-id %s, home's is %s)"
              .formatted(what, host, shown(buildId), shown(need.getBuildId())),
          "install the same version on both hosts");
    } else if (Files.size(path) != need.getSize()
        || !digests.sha256(path).equals(need.getSha256())) {
      refuse(
          what + " is another version on " + host + " (its content differs from home's)",
          "install the same version on both hosts");
    }
  }

  /** On a shared file system: the same inode, which may have grown since home looked at it. */
  private static boolean isThatFile(Path path, FileNeed need) throws IOException {
    return Files.isRegularFile(path)
        && need.getInode() == (long) Files.getAttribute(path, "unix:ino")
        && Files.size(path) >= need.getSize();
  }

  private static String shown(String buildId) {
    return buildId.isEmpty() ? "none" : buildId;
  }

  private void ports() throws IOException {
    for (PortNeed need : offer.getPortsList()) {
      InetAddress address = InetAddress.getByName(need.getAddress());
      String where = address.getHostAddress() + " port " + need.getPort();
      if (!address.isAnyLocalAddress()
          && !address.isLoopbackAddress()
          && NetworkInterface.getByInetAddress(address) == null
          && !ForeignRoutes.canBindForeign(address)) {
        refuse(
            "the process listens on %s, which is no address of %s".formatted(where, host),
            "let it listen on the wildcard address, or let the agent of %s write sysctls"
                .formatted(host));
      } else if (Listening.conflicts(address, need.getPort())) {
        refuse(
            where + " is taken on " + host,
            "stop what listens there (ss -ltnp 'sport = :" + need.getPort() + "')");
      }
    }
  }

  private void datagrams() throws IOException {
    if (offer.getDatagramsCount() == 0) {
      return;
    }
    if (!Tun.available()) {
      refuse(
          "the process has UDP sockets, and the agent of " + host + " cannot open /dev/net/tun",
          "load the kernel's module tun there, and give the agent the device and CAP_NET_ADMIN");
    }
    if (!Host.hasProgram("ip")) {
      refuse(
          "the process has UDP sockets, and the agent of " + host + " finds no program ip",
          "install iproute2 there");
    }
    if (Host.read("/proc/sys/net/ipv4/conf/all/rp_filter").strip().equals("1")) {
      refuse(
          "the process has UDP sockets, and "
              + host
              + " drops what comes by another way than it"
              + " would go (net.ipv4.conf.all.rp_filter is 1)",
          "set net.ipv4.conf.all.rp_filter to 0 or 2 there");
    }
    for (PortNeed need : offer.getDatagramsList()) {
      InetAddress address = InetAddress.getByName(need.getAddress());
      String where = "UDP %s port %d".formatted(address.getHostAddress(), need.getPort());
      try {
        if (!Udp.isFree(address, need.getPort())) {
          refuse(
              where + " is taken on " + host,
              "stop what uses it (ss -lunp 'sport = :" + need.getPort() + "')");
        }
      } catch (Errno e) {
        refuse(
            "the agent of %s cannot have %s: %s".formatted(host, where, e.getMessage()),
            "give the agent CAP_NET_ADMIN and CAP_NET_RAW, and that host the address's family");
      }
    }
  }

  private void unixSockets() throws IOException {
    for (String path : offer.getUnixNeededList()) {
      if (!UnixNames.isDatagramSocket(path)) {
        refuse(
            "the process sends to the unix datagram socket %s, which %s does not have"
                .formatted(path, host),
            "start there what receives it");
      }
    }
    for (String name : offer.getUnixBoundList()) {
      UnixNames.obstacle(name)
          .ifPresent(
              obstacle ->
                  refuse(
                      "the unix socket %s cannot be made on %s: %s"
                          .formatted(name.replace('\0', '@'), host, obstacle),
                      "remove what is in the way, or make what is missing"));
    }
  }

  /** For the process, and for its images where they lie in memory as well. */
  private void memory(Path images) throws IOException {
    long available = Host.availableMemory();
    long needed = offer.getResidentBytes() + (Host.isInMemory(images) ? offer.getImageBytes() : 0);
    if (available < needed) {
      refuse(
          "%s has %d MB of memory available, the process needs %d MB"
              .formatted(host, available >> 20, needed >> 20),
          "free memory there or choose another destination");
    }
  }

  private void images(Path images, long reservedBytes) throws IOException {
    long room = Host.usableSpace(images) - reservedBytes;
    if (room < offer.getImageBytes()) {
      refuse(
          "no room for the images: %s on %s has %d MB free, up to %d MB are needed"
              .formatted(images, host, Math.max(0, room) >> 20, offer.getImageBytes() >> 20),
          "free space there, or set 'images' in the agent's configuration to a larger file system");
    }
  }

  private void store() {
    if (!offer.getStore().isEmpty() && !Files.isReadable(Path.of(offer.getStore()))) {
      refuse(
          "%s does not reach the store: it has no %s".formatted(host, offer.getStore()),
          "name a directory with --store that both hosts have mounted");
    }
  }

  private void limits() {
    long own = Host.openFilesHardLimit(Host.read("/proc/self/limits"));
    if (!Host.mayRaiseLimits() && own < offer.getMaxOpenFiles()) {
      refuse(
          "the process may open %d files, the agent on %s only %d and it lacks CAP_SYS_RESOURCE"
              .formatted(offer.getMaxOpenFiles(), host, own),
          "raise LimitNOFILE of the agent's unit");
    }
    if (offer.getIpv6() && !Host.hasIpv6()) {
      refuse("the process has IPv6 sockets and " + host + " has no IPv6", "enable IPv6 there");
    }
    if (Host.highestPid() <= offer.getPid() + 1000) {
      refuse(
          "kernel.pid_max of %s is %d, too low for process %d"
              .formatted(host, Host.highestPid(), offer.getPid()),
          "raise kernel.pid_max there to home's");
    }
  }
}
