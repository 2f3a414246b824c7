package dev.exile.process;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A process with all its descendants: what migrates together.
 *
 * @param root its uppermost process
 * @param members the root first, then its descendants, parents before children
 */
public record ProcessTree(ProcessInfo root, List<ProcessInfo> members) {

  /** The tree below a PID as it stands now, or nothing where there is no such process. */
  public static Optional<ProcessTree> of(int pid) {
    List<ProcessInfo> all = Proc.all();
    return all.stream().filter(p -> p.pid() == pid).findFirst().map(root -> below(root, all));
  }

  private static ProcessTree below(ProcessInfo root, List<ProcessInfo> all) {
    List<ProcessInfo> members = new ArrayList<>();
    members.add(root);
    for (int i = 0; i < members.size(); i++) {
      int parent = members.get(i).pid();
      all.stream()
          .filter(p -> p.parent() == parent && p.state() != 'Z')
          .sorted(Comparator.comparingInt(ProcessInfo::pid))
          .forEach(members::add);
    }
    return new ProcessTree(root, List.copyOf(members));
  }

  /** The PIDs of all members, the root's first. */
  public List<Integer> pids() {
    return members.stream().map(ProcessInfo::pid).toList();
  }

  /** Resident bytes of all members; what they share counts once for each. */
  public long residentBytes() {
    return members.stream().mapToLong(p -> Proc.residentBytes(p.pid())).sum();
  }

  /**
   * Whether the root's process group is orphaned: no member has a parent of its session in another
   * group, which could wake it. The kernel discards the keyboard's stop signals there.
   */
  public boolean isOrphaned() {
    Map<Integer, ProcessInfo> all =
        Proc.all().stream().collect(Collectors.toMap(ProcessInfo::pid, Function.identity()));
    return all.values().stream()
        .filter(p -> p.group() == root.group() && p.state() != 'Z' && p.parent() != 1)
        .map(p -> all.get(p.parent()))
        .noneMatch(
            parent ->
                parent != null
                    && parent.group() != root.group()
                    && parent.session() == root.session());
  }

  /** True where {@code pid} is one of the ancestors of the tree's root, or the root itself. */
  public boolean isBelow(int pid) {
    Optional<ProcessInfo> at = Optional.of(root);
    while (at.isPresent()) {
      if (at.get().pid() == pid) {
        return true;
      }
      at = at.get().parent() == 0 ? Optional.empty() : Proc.info(at.get().parent());
    }
    return false;
  }
}
