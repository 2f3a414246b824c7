package dev.exile.process;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A cgroup v2 directory, see cgroups(7) and the kernel's cgroup-v2.rst. Exile uses one of its own
 * per migration for one thing only, the freezer, which needs no controller.
 *
 * @param directory below the mount of cgroup2
 */
public record Cgroup(Path directory) {
  private static final Path FALLBACK_MOUNT = Path.of("/run/exile/cgroup2");

  /**
   * Where cgroup2 is mounted. Hosts that mount only v1 hierarchies get a mount of ours: the v2
   * freezer works there without any controller.
   */
  public static Path mount() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/mounts"))) {
      String[] fields = line.split(" ", -1);
      if (fields[2].equals("cgroup2")) {
        return Path.of(fields[1]);
      }
    }
    Files.createDirectories(FALLBACK_MOUNT);
    try {
      Process mount =
          new ProcessBuilder("mount", "-t", "cgroup2", "none", FALLBACK_MOUNT.toString())
              .redirectErrorStream(true)
              .start();
      String said = new String(mount.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (mount.waitFor() != 0) {
        throw new IOException("cannot mount cgroup2 at " + FALLBACK_MOUNT + ": " + said.trim());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while mounting cgroup2", e);
    }
    return FALLBACK_MOUNT;
  }

  /** The cgroup that a process is in. */
  public static Cgroup of(int pid) throws IOException {
    String text =
        Proc.read(pid, "cgroup")
            .orElseThrow(() -> new IOException("no process " + pid + " any more"));
    for (String line : text.split("\n", -1)) {
      if (line.startsWith("0::")) {
        return new Cgroup(mount().resolve("." + line.substring(3)).normalize());
      }
    }
    // A process of a v1-only host is in the root of a v2 hierarchy that is mounted later.
    return new Cgroup(mount());
  }

  /** A new cgroup below this one, empty and thawed. */
  public Cgroup create(String name) throws IOException {
    return new Cgroup(Files.createDirectory(directory.resolve(name)));
  }

  /** Moves a process with all its threads in here. */
  public void add(int pid) throws IOException {
    Files.writeString(directory.resolve("cgroup.procs"), Integer.toString(pid));
  }

  /** The processes in here, not those in cgroups below. */
  public List<Integer> pids() throws IOException {
    return Files.readAllLines(directory.resolve("cgroup.procs")).stream()
        .map(Integer::valueOf)
        .filter(pid -> pid != 0)
        .toList();
  }

  /** Asks the kernel to freeze or thaw all processes in here; returns at once. */
  public void freeze(boolean frozen) throws IOException {
    Files.writeString(directory.resolve("cgroup.freeze"), frozen ? "1" : "0");
  }

  /** True when every process in here stands still. */
  public boolean frozen() throws IOException {
    return Files.readString(directory.resolve("cgroup.events")).contains("frozen 1");
  }

  /** True while the directory exists. */
  public boolean exists() {
    return Files.isDirectory(directory);
  }

  /** Kills every process in here and below, frozen ones too (cgroup.kill, Linux 5.14). */
  public void kill() throws IOException {
    Files.writeString(directory.resolve("cgroup.kill"), "1");
  }

  /**
   * Removes the empty cgroup, with those that processes in it have made below; processes that have
   * just been killed may take a moment to leave it.
   *
   * @throws IOException where it is still in use after two seconds
   */
  public void remove() throws IOException {
    for (int attempt = 0; ; attempt++) {
      try {
        removeBelow(directory);
        Files.deleteIfExists(directory);
        return;
      } catch (IOException e) {
        if (attempt == 200) {
          throw e;
        }
        try {
          Thread.sleep(10);
        } catch (InterruptedException interrupted) {
          Thread.currentThread().interrupt();
          throw e;
        }
      }
    }
  }

  /** A cgroup's files go with it. */
  private static void removeBelow(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return;
    }
    try (DirectoryStream<Path> children = Files.newDirectoryStream(directory, Files::isDirectory)) {
      for (Path child : children) {
        removeBelow(child);
        Files.deleteIfExists(child);
      }
    }
  }
}
