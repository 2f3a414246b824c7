package dev.exile.it;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A process in a host, as the machine sees it.
 *
 * @param pid on the machine
 * @param hostPid in its host's namespace
 * @param innerPid in its own namespace: in a cell the one it had at home
 * @param inCell whether its namespace is one within its host's
 * @param program its executable; a process may change its command line, but not this
 */
record Proc(
    int pid,
    int hostPid,
    int innerPid,
    boolean inCell,
    Path program,
    String command,
    char state,
    boolean frozen) {

  private static final Pattern SPACE = Pattern.compile("\\s+");

  /** Whether it could run: neither frozen, nor stopped, nor dead. */
  boolean running() {
    return !frozen && "TtZX".indexOf(state) < 0;
  }

  /** Whether it is one of Exile's own, but for deputies. */
  boolean isShimsJob() {
    return program.endsWith("exile-shim") && !command.startsWith("exile: ");
  }

  /** Every process in a cgroup and those below it. */
  static List<Proc> in(Path cgroup) {
    List<Proc> found = new ArrayList<>();
    for (Path group : groups(cgroup)) {
      boolean frozen = read(group.resolve("cgroup.events")).contains("frozen 1");
      for (String pid : read(group.resolve("cgroup.procs")).lines().toList()) {
        if (!pid.equals("0")) {
          of(Integer.parseInt(pid), frozen).ifPresent(found::add);
        }
      }
    }
    return found;
  }

  /** A cgroup and those below it. */
  static List<Path> groups(Path cgroup) {
    try (Stream<Path> all = Files.find(cgroup, 8, (path, kind) -> kind.isDirectory())) {
      return all.toList();
    } catch (IOException | java.io.UncheckedIOException gone) {
      return List.of();
    }
  }

  private static Optional<Proc> of(int pid, boolean frozen) {
    Path proc = Path.of("/proc", Integer.toString(pid));
    String status = read(proc.resolve("status"));
    List<String> pids = SPACE.splitAsStream(field(status, "NSpid")).toList();
    if (pids.size() < 2) {
      return Optional.empty(); // gone, or not in a host
    }
    String command = read(proc.resolve("cmdline")).replace('\0', ' ').strip();
    return Optional.of(
        new Proc(
            pid,
            Integer.parseInt(pids.get(1)),
            Integer.parseInt(pids.get(pids.size() - 1)),
            pids.size() > 2,
            program(proc),
            command.isEmpty() ? "[" + field(status, "Name") + "]" : command,
            field(status, "State").charAt(0),
            frozen));
  }

  private static Path program(Path proc) {
    try {
      return Files.readSymbolicLink(proc.resolve("exe"));
    } catch (IOException gone) {
      return Path.of("");
    }
  }

  private static String field(String status, String name) {
    return status
        .lines()
        .filter(line -> line.startsWith(name + ":"))
        .map(line -> line.substring(name.length() + 1).strip())
        .findFirst()
        .orElse("");
  }

  /** A file of the kernel's, or nothing where the process has gone meanwhile. */
  static String read(Path file) {
    try {
      return Files.readString(file, StandardCharsets.ISO_8859_1);
    } catch (IOException gone) {
      return "";
    }
  }
}
