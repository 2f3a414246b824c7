package dev.exile.negotiation;

import dev.exile.criu.Criu;
import dev.exile.ipc.HomeShared;
import dev.exile.linux.UnixDiag;
import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import dev.exile.process.ProcessTree;
import dev.exile.rpc.peer.FileNeed;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.PortNeed;
import dev.exile.sockets.TakenDatagrams;
import dev.exile.sockets.TakenSocket;
import dev.exile.sockets.TakenSockets;
import dev.exile.streams.StreamEnds;
import dev.exile.streams.Terminal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;

/**
 * Home's half of the negotiation: looks a process tree over while it runs, and tells what the
 * destination must have, and what of the tree cannot travel at all. Nothing is touched.
 */
public final class Survey {
  /** Bytes of a tree for whose images there is room everywhere. */
  private static final long SMALL = 256L << 20;

  private static final Set<String> NAMESPACES = Set.of("net", "mnt", "pid", "user", "uts", "ipc");
  private static final Set<String> CANNOT_TRAVEL =
      Set.of("anon_inode:[io_uring]", "anon_inode:[perf_event]", "anon_inode:bpf-prog");

  private static final int FILE_TYPE = 0170000;
  private static final int CHARACTER_DEVICE = 0020000;
  private static final int BLOCK_DEVICE = 0060000;

  /** Null, zero, full, random and urandom, the same on every host (major 1). */
  private static final Set<Long> STATELESS_DEVICES = Set.of(0x103L, 0x105L, 0x107L, 0x108L, 0x109L);

  private static final String SECRET = "/secretmem";

  private static final int O_RDONLY = 0;
  private static final int O_ACCMODE = 3;

  private static final String NOBODY = "0";
  private static final long TRACER_NANOS = 1_000_000_000;
  private static final long TRACER_POLL_NANOS = 2_000_000;

  private static final Set<String> CELLS_OWN = Set.of("pid", "mnt", "ipc");

  /** For the operator, where others share what the tree has. */
  public static final String SHARED_REMEDY = "end that process, or move what shares it as one tree";

  private final ProcessTree tree;
  private final FileDigest digests;
  private final boolean inCell;
  private final String device;
  private final List<Refusal> refusals = new ArrayList<>();
  private final Map<String, FileNeed> files = new LinkedHashMap<>();
  private final Set<String> mapped = new HashSet<>();
  private final Offer.Builder offer = Offer.newBuilder();

  private Survey(ProcessTree tree, FileDigest digests, boolean inCell, String device) {
    this.tree = tree;
    this.digests = digests;
    this.inCell = inCell;
    this.device = device;
  }

  /**
   * What the survey found.
   *
   * @param offer what the destination is asked for, without the migration's id
   * @param refusals why it cannot travel; empty where it can
   */
  public record Findings(Offer offer, List<Refusal> refusals) {}

  /** Looks the tree over. */
  public static Findings of(ProcessTree tree, Criu criu, FileDigest digests) throws IOException {
    return of(tree, criu, digests, false, "");
  }

  /**
   * Looks a tree over that lives in a cell here.
   *
   * @param device that its UDP sockets are bound to; what others there are is not looked at, nor
   *     what it shares by name
   */
  public static Findings inCell(ProcessTree tree, Criu criu, FileDigest digests, String device)
      throws IOException {
    return of(tree, criu, digests, true, device);
  }

  private static Findings of(
      ProcessTree tree, Criu criu, FileDigest digests, boolean inCell, String device)
      throws IOException {
    Survey survey = new Survey(tree, digests, inCell, device);
    survey.processes();
    survey.descriptors();
    survey.sockets();
    long shared = inCell ? 0 : survey.shared();
    Offer offer =
        survey
            .offer
            .setPid(tree.root().pid())
            .setCommand(tree.root().command())
            .setArchitecture(Host.architecture())
            .setKernel(Host.kernel())
            .setCriuVersion(criu.version())
            .addAllCpuFeatures(Host.cpuFeatures())
            .setResidentBytes(tree.residentBytes())
            .setImageBytes(imageBytes(tree, inCell) + shared)
            .addAllFiles(survey.files.values())
            .build();
    return new Findings(offer, List.copyOf(survey.refusals));
  }

  /** In bytes of the images. */
  private long shared() throws IOException {
    HomeShared shared = HomeShared.of(tree.pids());
    for (String refused : shared.refused()) {
      refuse(refused, SHARED_REMEDY);
    }
    return shared.bytes();
  }

  /**
   * Room for what CRIU dumps, for what that may grow by until the freeze, and for deleted files.
   * That is the resident set, but for private memory that does not pass through CRIU: of small
   * trees, and of those that move on, all.
   */
  private static long imageBytes(ProcessTree tree, boolean inCell) {
    long bytes = tree.residentBytes();
    if (!inCell && bytes > SMALL) {
      bytes = tree.pids().stream().mapToLong(Proc::residentBytesOfFiles).sum();
    }
    return bytes + bytes / 8 + Criu.GHOST_LIMIT;
  }

  private void refuse(String what, String remedy) {
    refusals.add(new Refusal(what, remedy));
  }

  private void processes() throws IOException {
    long openFiles = 0;
    boolean mayRaise = Host.mayRaiseLimits();
    String ownUid = Proc.status(ownPid(), "Uid").orElse("");
    for (ProcessInfo process : tree.members()) {
      int pid = process.pid();
      String name = name(process);
      String tracer = tracer(pid);
      if (!tracer.equals(NOBODY)) {
        refuse(name + " is traced by process " + tracer, "end the debugger first");
      }
      namespaces(process);
      if (!mayRaise && !ownUid.equals(Proc.status(pid, "Uid").orElse(ownUid))) {
        refuse(
            name + " runs as another user and this agent lacks CAP_SYS_RESOURCE",
            "give the agent CAP_SYS_RESOURCE, without which CRIU cannot read the limits of other"
                + " users' processes");
      }
      openFiles = Math.max(openFiles, Host.openFilesHardLimit(Proc.read(pid, "limits").orElse("")));
      mappedFiles(pid);
      for (String link : List.of("cwd", "root")) {
        Proc.link(pid, link).ifPresent(path -> needFile(path, false, false));
      }
    }
    offer.setMaxOpenFiles(openFiles);
  }

  /** Whoever brings a signal into an exiled process traces it for a moment, again and again. */
  private static String tracer(int pid) throws IOException {
    long deadline = System.nanoTime() + TRACER_NANOS;
    String tracer = Proc.status(pid, "TracerPid").orElse(NOBODY);
    while (!tracer.equals(NOBODY) && System.nanoTime() < deadline) {
      LockSupport.parkNanos(TRACER_POLL_NANOS);
      tracer = Proc.status(pid, "TracerPid").orElse(NOBODY);
    }
    return tracer;
  }

  private static int ownPid() {
    return (int) ProcessHandle.current().pid();
  }

  private static String name(ProcessInfo process) {
    return "process " + process.pid() + " (" + process.command() + ")";
  }

  private void namespaces(ProcessInfo process) {
    for (String namespace : NAMESPACES) {
      String theirs = Proc.link(process.pid(), "ns/" + namespace).orElse("");
      String ours = Proc.link(ownPid(), "ns/" + namespace).orElse("");
      boolean own = inCell && CELLS_OWN.contains(namespace);
      if (!own && !theirs.isEmpty() && !theirs.equals(ours)) {
        refuse(
            name(process) + " lives in a " + namespace + " namespace of its own",
            "processes inside containers cannot be moved; run an agent inside the container");
      }
    }
  }

  private void mappedFiles(int pid) {
    String executable = Proc.link(pid, "exe").orElse("");
    if (!executable.isEmpty()) {
      needFile(executable, true, true);
    }
    for (String line : Proc.read(pid, "maps").orElse("").split("\n", -1)) {
      String[] fields = line.split("\\s+", 6);
      if (fields.length < 6 || !fields[5].startsWith("/")) {
        continue;
      }
      if (fields[5].startsWith(SECRET)) {
        refuse(
            "process " + pid + " has secret memory (memfd_secret), which nobody else can read",
            "start the process without it");
      } else if (!fields[5].startsWith("/dev/") && !fields[5].startsWith("/SYSV")) {
        mapped.add(fields[5]);
        needFile(fields[5], false, fields[1].contains("x"));
      }
    }
  }

  private void needFile(String path, boolean executable, boolean content) {
    if (files.containsKey(path) && !content) {
      return;
    }
    if (path.endsWith(" (deleted)")) {
      if (executable) {
        refuse(
            "the executable " + path.replace(" (deleted)", "") + " has been replaced or deleted",
            "restart the process from the file that is there now");
      }
      return; // CRIU carries small deleted files along, and says so where it cannot
    }
    Path file = Path.of(path);
    if (!Files.isRegularFile(file) && !Files.isDirectory(file)) {
      return;
    }
    try {
      FileNeed before = files.get(path);
      boolean compare = content || (before != null && !before.getSha256().isEmpty());
      files.put(path, digests.need(file, executable, compare));
    } catch (IOException e) {
      refuse("cannot read " + path + ": " + e.getMessage(), "see why it is not readable by root");
    }
  }

  private void descriptors() throws IOException {
    for (ProcessInfo process : tree.members()) {
      for (Map.Entry<Integer, String> entry : Proc.descriptors(process.pid()).entrySet()) {
        descriptor(process, entry.getKey(), entry.getValue());
      }
    }
    try {
      Terminal.of(tree.pids());
    } catch (Terminal.Unfit e) {
      refuse(e.getMessage(), "start the process without it");
    }
    for (String refused : StreamEnds.of(tree.pids(), Set.of()).refused(tree.pids())) {
      refuse(refused, "start the process without it");
    }
    for (String path : StreamEnds.writtenOnly(tree.pids())) {
      files.computeIfPresent(path, (unused, need) -> streamable(need));
    }
  }

  private void descriptor(ProcessInfo process, int fd, String target) {
    String where = "descriptor " + fd + " of " + name(process);
    if (CANNOT_TRAVEL.contains(target)) {
      refuse(where + " is " + target + ", which cannot travel", "start the process without it");
    } else if (target.startsWith("/dev/") && isForeignDevice(process.pid(), fd)) {
      refuse(where + " is the device " + target + ", which stays", "start the process without it");
    } else if (target.startsWith("/") && !target.startsWith("/dev/")) {
      needFile(target, false, false);
      if (access(process.pid(), fd) != O_RDONLY) {
        files.computeIfPresent(target, (path, need) -> need.toBuilder().setGrowing(true).build());
      }
    }
  }

  /** A device that has a state, or hardware behind it; terminals are looked at by themselves. */
  private static boolean isForeignDevice(int pid, int fd) {
    try {
      Map<String, Object> file =
          Files.readAttributes(Path.of("/proc/" + pid + "/fd/" + fd), "unix:mode,rdev");
      int kind = (int) file.get("mode") & FILE_TYPE;
      long device = (long) file.get("rdev");
      boolean special = kind == CHARACTER_DEVICE || kind == BLOCK_DEVICE;
      return special && !STATELESS_DEVICES.contains(device) && !isTerminal(device);
    } catch (IOException e) {
      return false; // closed meanwhile
    }
  }

  private static boolean isTerminal(long device) {
    long major = (device >> 8) & 0xfff;
    return major == 4 || major == 5 || (major >= 136 && major <= 143);
  }

  /** How a descriptor was opened: O_RDONLY, O_WRONLY or O_RDWR. */
  private static int access(int pid, int fd) {
    String info = Proc.read(pid, "fdinfo/" + fd).orElse("flags:\t0");
    return Integer.parseInt(info.replaceAll("(?s).*flags:\\s*(\\d+).*", "$1"), 8) & O_ACCMODE;
  }

  /** Unless it is mapped, too: then its content was asked for, or it is a part of the program. */
  private FileNeed streamable(FileNeed need) {
    if (mapped.contains(need.getPath()) || need.getDirectory()) {
      return need;
    }
    try {
      long inode = (long) Files.getAttribute(Path.of(need.getPath()), "unix:ino");
      return need.toBuilder().setStreamable(true).setInode(inode).build();
    } catch (IOException e) {
      return need; // removed meanwhile
    }
  }

  private void sockets() throws IOException {
    try (TakenSockets sockets = TakenSockets.take(tree.pids())) {
      boolean ipv6 = false;
      for (TakenSocket socket : sockets.all()) {
        ipv6 |= socket.ipv6();
        if (socket.listening()) {
          offer.addPorts(
              PortNeed.newBuilder()
                  .setAddress(socket.local().getAddress().getHostAddress())
                  .setPort(socket.local().getPort())
                  .build());
        }
      }
      for (TakenDatagrams socket : sockets.datagrams()) {
        ipv6 |= socket.ipv6();
        datagrams(socket);
      }
      offer.setIpv6(ipv6);
      for (TakenSockets.OtherSocket other : sockets.others()) {
        if (other.domain() != UnixDiag.AF_UNIX && !other.idle()) {
          refuse(
              where(other.fd(), other.pid())
                  + " is "
                  + SocketSurvey.kind(other)
                  + ", which cannot travel",
              "start the process without it");
        }
      }
      unixSockets(sockets.others());
    }
  }

  private void datagrams(TakenDatagrams socket) {
    if (inCell && !socket.isOf(device)) {
      return;
    }
    Optional<String> refusal = inCell ? Optional.empty() : SocketSurvey.refusal(socket);
    if (refusal.isPresent()) {
      refuse(
          where(socket.fd(), socket.pid()) + " " + refusal.get(), "start the process without it");
      return;
    }
    offer.addDatagrams(
        PortNeed.newBuilder()
            .setAddress(socket.local().getAddress().getHostAddress())
            .setPort(socket.local().getPort()));
  }

  private void unixSockets(List<TakenSockets.OtherSocket> sockets) throws IOException {
    UnixSurvey.Findings found = UnixSurvey.of(sockets);
    refusals.addAll(found.refusals());
    offer.addAllUnixNeeded(found.needed()).addAllUnixBound(found.bound());
  }

  private String where(int fd, int pid) {
    for (ProcessInfo process : tree.members()) {
      if (process.pid() == pid) {
        return "descriptor " + fd + " of " + name(process);
      }
    }
    return "descriptor " + fd + " of process " + pid;
  }
}
