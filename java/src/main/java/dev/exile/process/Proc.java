package dev.exile.process;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Readers of /proc, see proc(5). A process that ends while it is read is simply not there. */
public final class Proc {
  private static final Path ROOT = Path.of("/proc");

  private Proc() {}

  /** A process, or nothing where there is none of that PID. */
  public static Optional<ProcessInfo> info(int pid) {
    return read(pid, "stat").map(ProcessInfo::parse);
  }

  /** Every process of this PID namespace. */
  public static List<ProcessInfo> all() {
    List<ProcessInfo> processes = new ArrayList<>();
    for (int pid : pids()) {
      info(pid).ifPresent(processes::add);
    }
    return processes;
  }

  private static List<Integer> pids() {
    List<Integer> pids = new ArrayList<>();
    try (DirectoryStream<Path> entries =
        Files.newDirectoryStream(ROOT, path -> isNumber(path.getFileName().toString()))) {
      for (Path entry : entries) {
        pids.add(Integer.valueOf(entry.getFileName().toString()));
      }
    } catch (IOException e) {
      throw new UncheckedIOException("cannot list /proc", e);
    }
    return pids;
  }

  private static boolean isNumber(String name) {
    return name.chars().allMatch(Character::isDigit);
  }

  /** One file below /proc/PID as text; nothing where there is none (any more). */
  public static Optional<String> read(int pid, String file) {
    try {
      // proc files tell no size: readString reads to the end all the same
      byte[] bytes = Files.readAllBytes(ROOT.resolve(pid + "/" + file));
      return Optional.of(new String(bytes, StandardCharsets.UTF_8));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (IOException e) {
      // It may be gone between the opening and the reading: a process, or a descriptor of it.
      if (!Files.exists(ROOT.resolve(Integer.toString(pid))) || isGone(e)) {
        return Optional.empty();
      }
      throw new UncheckedIOException("cannot read /proc/" + pid + "/" + file, e);
    }
  }

  private static boolean isGone(IOException e) {
    return "No such process".equals(e.getMessage())
        || "No such file or directory".equals(e.getMessage());
  }

  /** Where a link below /proc/PID points to (exe, cwd, root, fd/N, ns/net). */
  public static Optional<String> link(int pid, String file) {
    try {
      return Optional.of(Files.readSymbolicLink(ROOT.resolve(pid + "/" + file)).toString());
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** The value of a line of /proc/PID/status, such as {@code VmRSS}. */
  public static Optional<String> status(int pid, String key) {
    return value(read(pid, "status"), key);
  }

  private static Optional<String> value(Optional<String> status, String key) {
    return status.flatMap(
        text ->
            text.lines()
                .filter(line -> line.startsWith(key + ":"))
                .map(line -> line.substring(key.length() + 1).trim())
                .findFirst());
  }

  /** Resident memory in bytes, 0 where the process has ended. */
  public static long residentBytes(int pid) {
    return status(pid, "VmRSS").map(v -> Long.parseLong(v.split(" ", -1)[0]) * 1024).orElse(0L);
  }

  /**
   * Resident bytes of all but private anonymous memory that is not locked: what is of files, or
   * shared, or of huge pages, see proc_pid_smaps(5). 0 where the process has ended. The kernel goes
   * through all of its pages for that, some GB in a second.
   */
  public static long residentBytesOfFiles(int pid) {
    long bytes = 0;
    String counted = "none so far";
    for (String line : read(pid, "smaps").orElse("").split("\n", -1)) {
      String[] words = line.split("\\s+", -1);
      if (words[0].equals(counted) || words[0].endsWith("_Hugetlb:")) {
        bytes += Long.parseLong(words[1]) * 1024;
      } else if (words.length > 4 && !words[0].endsWith(":")) {
        boolean anonymous = words[1].endsWith("p") && words[4].equals("0");
        counted = anonymous ? "Locked:" : "Rss:";
      }
    }
    return bytes;
  }

  /**
   * The PIDs of a process from this namespace down to its innermost one.
   *
   * @return empty where the process has ended
   */
  public static List<Integer> namespacePids(int pid) {
    return namespacePids(pid, pid);
  }

  /** The same for one of its threads. */
  static List<Integer> namespacePids(int pid, int tid) {
    List<Integer> pids = new ArrayList<>();
    for (String part :
        value(read(pid, "task/" + tid + "/status"), "NSpid").orElse("").split("\\s+", -1)) {
      if (!part.isEmpty()) {
        pids.add(Integer.valueOf(part));
      }
    }
    return pids;
  }

  /** Open descriptors and what they point to, as {@code socket:[4711]} or a path. */
  public static Map<Integer, String> descriptors(int pid) {
    Map<Integer, String> descriptors = new LinkedHashMap<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(ROOT.resolve(pid + "/fd"))) {
      for (Path entry : entries) {
        int fd = Integer.parseInt(entry.getFileName().toString());
        link(pid, "fd/" + fd).ifPresent(target -> descriptors.put(fd, target));
      }
    } catch (NoSuchFileException e) {
      return Map.of();
    } catch (IOException e) {
      throw new UncheckedIOException("cannot list the descriptors of process " + pid, e);
    }
    return descriptors;
  }
}
