package dev.exile.migration;

import dev.exile.process.Cgroup;
import dev.exile.process.ProcessInfo;
import dev.exile.process.ProcessTree;
import dev.exile.shim.FreezeGuard;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The tree at home in a cgroup of its own, where it is frozen. The cgroup is a child of the one the
 * process came from, so limits go on to hold and a service manager still finds it.
 */
final class FrozenTree {
  private static final Logger LOG = LoggerFactory.getLogger(FrozenTree.class);
  private static final int SCANS = 20;

  private final Cgroup cgroup;
  private final int root;
  private final boolean shellJob;
  private final FreezeGuard guard;
  private boolean ours = true;

  private FrozenTree(Cgroup cgroup, int root, boolean shellJob, FreezeGuard guard) {
    this.cgroup = cgroup;
    this.root = root;
    this.shellJob = shellJob;
    this.guard = guard;
  }

  /** Moves the tree, which runs on, into its cgroup and starts the guard. */
  static FrozenTree prepare(Site site, Facts facts, ProcessTree tree) throws IOException {
    Cgroup origin = Cgroup.of(tree.root().pid());
    Cgroup cgroup = origin.create("exile-" + facts.id);
    facts.cgroup = cgroup.directory().toString();
    gather(facts, tree.root().pid(), cgroup);
    boolean shellJob = tree.root().session() != tree.root().pid();
    List<String> dump =
        site.criu()
            .dump(
                tree.root().pid(),
                site.images(facts.id),
                site.log(facts.id, "dump"),
                cgroup.directory(),
                shellJob);
    FreezeGuard guard = FreezeGuard.start(site.shim(), cgroup, origins(facts), dump);
    return new FrozenTree(cgroup, tree.root().pid(), shellJob, guard);
  }

  /** A child forked while we move its parent may be left outside: look again until none is. */
  private static void gather(Facts facts, int root, Cgroup cgroup) throws IOException {
    for (int scan = 0; scan < SCANS; scan++) {
      boolean moved = false;
      ProcessTree tree =
          ProcessTree.of(root).orElseThrow(() -> new IOException("process " + root + " has ended"));
      for (ProcessInfo member : tree.members()) {
        if (!facts.origins.containsKey(member.pid())) {
          Cgroup origin = Cgroup.of(member.pid());
          boolean born = origin.equals(cgroup);
          facts.origins.put(
              member.pid(), born ? facts.origins.get(root) : origin.directory().toString());
          if (!born) {
            cgroup.add(member.pid());
            moved = true;
          }
        }
      }
      if (!moved) {
        return;
      }
    }
    throw new IOException(
        "process " + root + " starts new processes faster than they can be gathered");
  }

  private static Map<Integer, Cgroup> origins(Facts facts) {
    Map<Integer, Cgroup> origins = new LinkedHashMap<>();
    facts.origins.forEach((pid, directory) -> origins.put(pid, new Cgroup(Path.of(directory))));
    return origins;
  }

  /** Freezes every process of the tree. */
  void freeze() throws IOException {
    guard.freeze();
  }

  /** All processes that stand frozen, the root first. */
  List<Integer> pids() throws IOException {
    List<Integer> pids = new ArrayList<>(cgroup.pids());
    if (!pids.remove(Integer.valueOf(root))) {
      throw new IOException("process " + root + " has ended");
    }
    pids.add(0, root);
    return pids;
  }

  /** Whether the session leader is not part of the tree. */
  boolean shellJob() {
    return shellJob;
  }

  /** Runs CRIU's dump. */
  void dump() throws IOException {
    guard.dump();
  }

  /** Ends a running dump, from another thread. */
  void cancelDump() {
    try {
      guard.cancelDump();
    } catch (IOException e) {
      LOG.info("no dump to cancel: {}", e.getMessage());
    }
  }

  /** From now on the guard does not thaw when the agent dies. */
  void hold() throws IOException {
    guard.hold();
  }

  /** The tree stays frozen for good: it is the body of a process that runs elsewhere. */
  void leave() throws IOException {
    ours = false;
    guard.close();
  }

  /** Gives the tree its freedom back. */
  void thaw() throws IOException {
    if (!ours) {
      return;
    }
    ours = false;
    try (guard) {
      guard.thaw();
    } catch (IOException e) {
      LOG.warn("the guard could not thaw, the agent does it itself: {}", e.getMessage());
      release(cgroup, Map.of());
    }
  }

  // ---- Without a guard: after the agent was started again, or before there was one. ----

  /** Thaws what the journal tells of, moves it back and removes the cgroup. */
  static void release(Facts facts) throws IOException {
    if (!facts.cgroup.isEmpty()) {
      release(new Cgroup(Path.of(facts.cgroup)), origins(facts));
    }
  }

  private static void release(Cgroup cgroup, Map<Integer, Cgroup> origins) throws IOException {
    if (!cgroup.exists()) {
      return;
    }
    cgroup.freeze(false);
    Cgroup parent = new Cgroup(cgroup.directory().getParent());
    for (int pid : cgroup.pids()) {
      origins.getOrDefault(pid, parent).add(pid);
    }
    cgroup.remove();
  }

  /** The frozen processes that the journal tells of; empty where there are none. */
  static List<Integer> bodies(Facts facts) throws IOException {
    Cgroup cgroup = new Cgroup(Path.of(facts.cgroup));
    return !facts.cgroup.isEmpty() && cgroup.exists() ? cgroup.pids() : List.of();
  }

  /** Ends the body of a process that has ended elsewhere. */
  static void endBody(Facts facts) throws IOException {
    if (facts.cgroup.isEmpty()) {
      return;
    }
    Cgroup cgroup = new Cgroup(Path.of(facts.cgroup));
    if (cgroup.exists()) {
      cgroup.kill();
      cgroup.remove();
    }
  }

  /** Removes the cgroup once the processes in it have ended. */
  static void removeCgroup(Facts facts) throws IOException {
    if (!facts.cgroup.isEmpty()) {
      new Cgroup(Path.of(facts.cgroup)).remove();
    }
  }
}
