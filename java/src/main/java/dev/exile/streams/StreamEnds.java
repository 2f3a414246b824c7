package dev.exile.streams;

import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which ends of pipes, FIFOs and files a process tree holds that lead to those who stay. What the
 * tree has for itself alone CRIU carries.
 */
public final class StreamEnds {
  private static final int LAST_STANDARD = 2;

  private final Map<String, List<OpenFile>> holders = new LinkedHashMap<>();
  private final Map<String, StreamEnd.Kind> kinds = new LinkedHashMap<>();

  private StreamEnds() {}

  /**
   * Looks the processes over; frozen, they cannot change meanwhile.
   *
   * @param files paths of files that are to be written at home
   */
  public static StreamEnds of(List<Integer> pids, Collection<String> files) {
    StreamEnds ends = new StreamEnds();
    for (OpenFile file : OpenFile.of(pids)) {
      if (file.isPipe()) {
        ends.add(file, StreamEnd.Kind.PIPE);
      } else if (files.contains(file.target())) {
        ends.add(file, StreamEnd.Kind.FILE);
      } else if (file.isFifo()) {
        ends.add(file, StreamEnd.Kind.FIFO);
      }
    }
    return ends;
  }

  private void add(OpenFile file, StreamEnd.Kind kind) {
    holders.computeIfAbsent(file.target(), unused -> new ArrayList<>()).add(file);
    kinds.put(file.target(), kind);
  }

  /** Those that are to be kept joined to home. */
  public List<StreamEnd> all() {
    List<StreamEnd> all = new ArrayList<>();
    holders.forEach(
        (target, files) -> {
          boolean reads = files.stream().anyMatch(OpenFile::readable);
          if (reads && files.stream().anyMatch(OpenFile::writable)) {
            return; // both ends are in the tree
          }
          OpenFile one = files.get(0);
          all.add(
              new StreamEnd(
                  "stream-" + all.size(),
                  kinds.get(target),
                  reads,
                  one.pid(),
                  one.fd(),
                  one.key()));
        });
    return all;
  }

  /**
   * What cannot travel: ends of which the tree has both and others outside of it have one, too.
   * Looks at every process of this host.
   */
  public List<String> refused(List<Integer> tree) {
    Map<String, OpenFile> both = new LinkedHashMap<>();
    holders.forEach(
        (target, files) -> {
          if (files.stream().anyMatch(OpenFile::readable)
              && files.stream().anyMatch(OpenFile::writable)) {
            both.put(target, files.get(0));
          }
        });
    if (both.isEmpty()) {
      return List.of();
    }
    Set<Integer> outside = new HashSet<>(Proc.all().stream().map(ProcessInfo::pid).toList());
    outside.removeAll(tree);
    List<String> refused = new ArrayList<>();
    for (OpenFile file : OpenFile.of(List.copyOf(outside))) {
      OpenFile ours = both.remove(file.target());
      if (ours != null) {
        refused.add(
            "%s is %s, both ends of which are in the tree while %s has it, too"
                .formatted(ours.where(), ours.target(), file.where()));
      }
    }
    return refused;
  }

  /**
   * Files that are some process's standard output or error, and that the tree only ever writes to:
   * where the destination does not have them, they can be written at home.
   */
  public static Set<String> writtenOnly(List<Integer> pids) {
    Map<String, Boolean> standard = new LinkedHashMap<>();
    Set<String> read = new HashSet<>();
    for (OpenFile file : OpenFile.of(pids)) {
      if (file.target().startsWith("/") && !file.target().endsWith(" (deleted)")) {
        standard.merge(file.target(), file.fd() <= LAST_STANDARD, Boolean::logicalOr);
        if (file.readable()) {
          read.add(file.target());
        }
      }
    }
    Set<String> written = new HashSet<>();
    standard.forEach(
        (path, is) -> {
          if (is && !read.contains(path)) {
            written.add(path);
          }
        });
    return written;
  }
}
