package dev.exile.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** What a migration could leave in a host, besides processes. */
record Traces(List<String> cgroups, List<String> mounts, List<String> rules, List<String> files) {
  private static final String ROUTING =
      "ip rule; ip -6 rule; ip route show table 0x45580001; ip -6 route show table 0x45580001;"
          + " cd /proc/sys/net; grep . ipv4/tcp_fwmark_accept ipv?/ip_nonlocal_bind";

  static Traces of(Testbed bed, String host) {
    String init = Integer.toString(bed.init(host));
    return new Traces(
        Proc.groups(bed.cgroup(host)).stream()
            .map(path -> path.getFileName().toString())
            .filter(name -> name.startsWith("exile-"))
            .toList(),
        Proc.read(Path.of("/proc", init, "mountinfo"))
            .lines()
            .map(line -> line.split(" ", -1)[4])
            .toList(),
        bed.exec(host, "sh", "-c", ROUTING).out().lines().toList(),
        files(bed.run(host).resolve("exile")));
  }

  /** Every trace that was not there before. */
  List<String> compare(Traces now) {
    List<String> found = new ArrayList<>();
    added(cgroups, now.cgroups, "cgroup ", found);
    added(mounts, now.mounts, "mount ", found);
    added(rules, now.rules, "routing rule ", found);
    added(files, now.files, "file ", found);
    return found;
  }

  private static void added(List<String> old, List<String> now, String what, List<String> found) {
    List<String> extra = new ArrayList<>(now);
    old.forEach(extra::remove);
    extra.forEach(line -> found.add(what + line));
  }

  /**
   * Of a migration that is over only the journal and, where it failed, a log of CRIU's are kept.
   */
  private static List<String> files(Path run) {
    if (!Files.isDirectory(run)) {
      return List.of();
    }
    try (Stream<Path> files = Files.walk(run)) {
      return files
          .map(file -> run.relativize(file).toString())
          .filter(file -> !file.startsWith("journal/") && !file.startsWith("log/"))
          .filter(file -> file.matches("(.*/)?[0-9a-f]{10}(-[0-9]+)?([./].*)?"))
          .toList();
    } catch (UncheckedIOException changing) {
      return List.of(changing.getMessage());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
