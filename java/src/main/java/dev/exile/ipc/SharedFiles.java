package dev.exile.ipc;

import static java.nio.file.LinkOption.NOFOLLOW_LINKS;

import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * The memory that a process tree shares by files: those below /dev/shm that it has mapped or open,
 * which CRIU expects to find at the destination, and mapped memory without a name (memfd, shared
 * anonymous), which CRIU carries.
 */
final class SharedFiles {
  /** Where the C library puts shared memory and semaphores that have a name. */
  static final Path ROOT = Path.of("/dev/shm");

  private static final String BELOW = ROOT + "/";
  private static final String PROC = "/proc/";

  /**
   * What a process shares.
   *
   * @param device of its file system
   */
  private record Inode(long device, long number) {}

  private final Map<Inode, String> mapped = new LinkedHashMap<>();
  private final Map<Inode, String> named = new LinkedHashMap<>();
  private final Path root;
  private final boolean whole;

  private SharedFiles(Path root, boolean whole) {
    this.root = root;
    this.whole = whole;
  }

  /** Looks the processes over, which may run or stand frozen. */
  static SharedFiles of(Collection<Integer> pids) {
    SharedFiles files = new SharedFiles(ROOT, false);
    pids.forEach(files::look);
    return files;
  }

  /**
   * The same of processes that have a /dev/shm of their own, all of which is theirs.
   *
   * @param root where this host sees it
   */
  static SharedFiles allOf(Collection<Integer> pids, Path root) {
    SharedFiles files = new SharedFiles(root, true);
    pids.forEach(files::look);
    return files;
  }

  /** Where this host sees the /dev/shm that they are below. */
  Path root() {
    return root;
  }

  /** Whether all of that /dev/shm is theirs. */
  boolean isWhole() {
    return whole;
  }

  private void look(int pid) {
    for (Mapping mapping : Mapping.of(pid)) {
      Inode inode = new Inode(mapping.device(), mapping.inode());
      if (mapping.shared() && mapping.path().startsWith(BELOW)) {
        named.put(inode, mapping.path());
      } else if (mapping.shared() && mapping.deleted() && !mapping.path().startsWith("/SYSV")) {
        mapped.put(inode, mapping.path());
      }
    }
    Proc.descriptors(pid)
        .forEach(
            (fd, target) -> {
              if (target.startsWith(BELOW)) {
                inode(Path.of(PROC + pid + "/fd/" + fd))
                    .ifPresent(inode -> named.put(inode, Mapping.undeleted(target)));
              }
            });
  }

  /** Empty where it is neither a file nor a directory, or gone. */
  private static Optional<Inode> inode(Path path, LinkOption... links) {
    try {
      Map<String, Object> unix = Files.readAttributes(path, "unix:dev,ino,mode", links);
      int type = (int) unix.get("mode") & 0170000;
      return type == 0100000 || type == 0040000
          ? Optional.of(new Inode((long) unix.get("dev"), (long) unix.get("ino")))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** Whether there is anything below /dev/shm. */
  boolean any() {
    return !named.isEmpty();
  }

  /** What cannot be packed: neither a file nor a directory. */
  List<Path> strange() throws IOException {
    try (Stream<Path> walk = Files.walk(root)) {
      return walk.filter(
              path ->
                  !Files.isRegularFile(path, NOFOLLOW_LINKS) && Files.exists(path, NOFOLLOW_LINKS))
          .filter(path -> !Files.isDirectory(path, NOFOLLOW_LINKS))
          .toList();
    }
  }

  /** What others, who are not of the tree, have as well; one sentence each. */
  List<String> shared(Collection<Integer> tree) {
    Map<Inode, String> ours = new LinkedHashMap<>(mapped);
    ours.putAll(named);
    List<String> shared = new ArrayList<>();
    if (ours.isEmpty()) {
      return shared;
    }
    Set<Integer> inside = Set.copyOf(tree);
    for (ProcessInfo process : Proc.all()) {
      if (!inside.contains(process.pid())) {
        SharedFiles theirs = of(List.of(process.pid()));
        theirs.mapped.keySet().retainAll(mapped.keySet());
        theirs.named.keySet().retainAll(named.keySet());
        Stream.concat(theirs.mapped.values().stream(), theirs.named.values().stream())
            .forEach(
                path ->
                    shared.add(
                        "the shared memory %s is used by %s, too"
                            .formatted(path, SysvUse.name(process))));
      }
    }
    return shared;
  }

  /** Content of the files with a name, in bytes. */
  long bytes() throws IOException {
    long bytes = 0;
    for (List<Path> names : names().values()) {
      bytes += Files.isDirectory(names.get(0)) ? 0 : Files.size(names.get(0));
    }
    return bytes;
  }

  /**
   * What of it has a name below /dev/shm, with all of its names, directories above what is in them.
   * The last name of a file may have gone: then CRIU carries it.
   */
  Map<Long, List<Path>> names() throws IOException {
    Map<Path, Inode> found = new TreeMap<>();
    if (!any() && !whole) {
      return Map.of();
    }
    try (Stream<Path> walk = Files.walk(root)) {
      for (Path path : (Iterable<Path>) walk::iterator) {
        inode(path, NOFOLLOW_LINKS) // one may lead out of it, to what is not the tree's to have
            .filter(inode -> whole || named.containsKey(inode))
            .ifPresent(inode -> found.put(path, inode));
      }
    } catch (java.io.UncheckedIOException e) {
      if (!(e.getCause() instanceof NoSuchFileException)) {
        throw e.getCause();
      }
    }
    Map<Long, List<Path>> names = new LinkedHashMap<>();
    found.remove(root);
    Map<Path, Boolean> above = new TreeMap<>();
    for (Path path : found.keySet()) {
      for (Path up = path.getParent(); !up.equals(root); up = up.getParent()) {
        above.put(up, true);
      }
    }
    for (Path directory : above.keySet()) {
      inode(directory).ifPresent(inode -> names.put(inode.number(), List.of(directory)));
    }
    found.forEach(
        (path, inode) -> {
          List<Path> all = new ArrayList<>(names.getOrDefault(inode.number(), List.of()));
          if (!all.contains(path)) {
            all.add(path);
          }
          names.put(inode.number(), all);
        });
    return names;
  }

  /** The inode of what had this name when it was mapped or opened. */
  Optional<Long> formerly(String path) {
    return named.entrySet().stream()
        .filter(entry -> entry.getValue().equals(path))
        .map(entry -> entry.getKey().number())
        .findFirst();
  }
}
