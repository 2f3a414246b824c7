package dev.exile.ipc;

import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Which SysV IPC objects belong to a process tree. A segment that it has mapped is its own beyond
 * doubt. Queues and semaphores hang on no descriptor: what counts is who used them last, as the
 * kernel keeps it, and who waits at them now. An object of which no living user is known, made by a
 * user of the tree's since the tree began, goes with it as a copy.
 *
 * @param objects those that belong to it
 * @param shared those that others use as well, one sentence each
 * @param bytes of all segments of the namespace: CRIU dumps them all
 */
record SysvUse(List<SysvObject> objects, List<String> shared, long bytes) {
  private static final long TICKS_PER_SECOND = 100; // sysconf(_SC_CLK_TCK) is 100 on Linux
  private static final String SEGMENT_PATH = "/SYSV";

  // System calls of x86-64 in which a thread may wait at an object: its first argument.
  private static final Map<String, SysvObject.Kind> WAITS =
      Map.of(
          "65", SysvObject.Kind.SET, // semop
          "220", SysvObject.Kind.SET, // semtimedop
          "69", SysvObject.Kind.QUEUE, // msgsnd
          "70", SysvObject.Kind.QUEUE); // msgrcv

  /** An object that somebody holds right now. */
  private record Held(SysvObject.Kind kind, int id) {}

  /** Looks a tree over, which may run or stand frozen. */
  static SysvUse of(Collection<Integer> tree) throws IOException {
    List<SysvTable.Row> rows = SysvTable.read();
    if (rows.isEmpty()) {
      return new SysvUse(List.of(), List.of(), 0);
    }
    Search search = new Search(Set.copyOf(tree));
    rows.forEach(search::judge);
    long bytes = rows.stream().mapToLong(SysvTable.Row::bytes).sum();
    return new SysvUse(search.objects, search.shared, search.objects.isEmpty() ? 0 : bytes);
  }

  /**
   * Whether another process, which stays, uses the object by now.
   *
   * @param tree those that have left, whose bodies may still hold it
   */
  static Optional<String> stranger(SysvTable.Row row, Collection<Integer> tree) {
    return new Search(Set.copyOf(tree)).stranger(row);
  }

  /** One look over the tables. */
  private static final class Search {
    private final Set<Integer> tree;
    private final Map<Held, Integer> ours;
    private final Set<Integer> uids = new HashSet<>();
    private final List<SysvObject> objects = new ArrayList<>();
    private final List<String> shared = new ArrayList<>();
    private Map<Held, String> theirs;
    private long begun = Long.MAX_VALUE;

    Search(Set<Integer> tree) {
      this.tree = tree;
      this.ours = held(tree);
      long boot = bootSeconds();
      for (int pid : tree) {
        for (String uid : Proc.status(pid, "Uid").orElse("").split("\\s+", -1)) {
          if (!uid.isEmpty()) {
            uids.add(Integer.valueOf(uid));
          }
        }
        Proc.info(pid)
            .ifPresent(p -> begun = Math.min(begun, boot + p.startTicks() / TICKS_PER_SECOND));
      }
    }

    void judge(SysvTable.Row row) {
      Held held = new Held(row.kind(), row.id());
      if (ours.containsKey(held) || row.users().stream().anyMatch(tree::contains)) {
        objects.add(row.object(true));
        stranger(row)
            .ifPresent(
                who -> shared.add(row.object(true).describe() + " is used by " + who + ", too"));
      } else if (uids.contains(row.creator())
          && row.changedSeconds() >= begun
          && row.attached() == 0
          && livingUser(row).isEmpty()) {
        objects.add(row.object(false));
      }
    }

    /** One who is not of the tree, lives, and uses an object of the tree's. */
    Optional<String> stranger(SysvTable.Row row) {
      Optional<String> user = livingUser(row);
      Held held = new Held(row.kind(), row.id());
      boolean segment = row.kind() == SysvObject.Kind.SEGMENT;
      if (user.isPresent() || (segment && row.attached() <= ours.getOrDefault(held, 0))) {
        return user;
      }
      if (theirs == null) {
        theirs = new HashMap<>();
        for (ProcessInfo process : Proc.all()) {
          if (!tree.contains(process.pid())) {
            holds(process.pid()).keySet().forEach(one -> theirs.put(one, name(process)));
          }
        }
      }
      String unseen = segment ? "a process of another PID namespace" : null;
      return Optional.ofNullable(theirs.getOrDefault(held, unseen));
    }

    private Optional<String> livingUser(SysvTable.Row row) {
      return row.users().stream()
          .filter(pid -> !tree.contains(pid))
          .flatMap(pid -> Proc.info(pid).stream())
          .filter(process -> isUser(row, process))
          .map(SysvUse::name)
          .findFirst();
    }

    /** Not one that has merely got the PID of a former user. */
    private boolean isUser(SysvTable.Row row, ProcessInfo process) {
      long started = bootSeconds() + process.startTicks() / TICKS_PER_SECOND;
      return process.state() != 'Z' && started <= Math.max(row.usedSeconds(), row.changedSeconds());
    }

    private static Map<Held, Integer> held(Collection<Integer> pids) {
      Map<Held, Integer> held = new HashMap<>();
      for (int pid : pids) {
        holds(pid).forEach((object, count) -> held.merge(object, count, Integer::sum));
      }
      return held;
    }
  }

  /** Segments that a process has mapped, and how often, and what its threads wait at. */
  private static Map<Held, Integer> holds(int pid) {
    Map<Held, Integer> held = new HashMap<>();
    for (Mapping mapping : Mapping.of(pid)) {
      if (mapping.path().startsWith(SEGMENT_PATH)) {
        held.merge(new Held(SysvObject.Kind.SEGMENT, (int) mapping.inode()), 1, Integer::sum);
      }
    }
    String[] threads = Path.of("/proc/" + pid + "/task").toFile().list();
    for (String thread : threads == null ? new String[0] : threads) {
      String[] call = Proc.read(pid, "task/" + thread + "/syscall").orElse("").split(" ", 3);
      SysvObject.Kind kind = WAITS.get(call[0]);
      if (kind != null && call.length > 1) {
        held.put(new Held(kind, Integer.decode(call[1])), 1);
      }
    }
    return held;
  }

  static String name(ProcessInfo process) {
    return "process " + process.pid() + " (" + process.command() + ")";
  }

  private static long bootSeconds() {
    try {
      return Files.readAllLines(Path.of("/proc/stat")).stream()
          .filter(line -> line.startsWith("btime "))
          .mapToLong(line -> Long.parseLong(line.substring(6)))
          .findFirst()
          .orElse(0);
    } catch (IOException e) {
      throw new java.io.UncheckedIOException("cannot read /proc/stat", e);
    }
  }
}
