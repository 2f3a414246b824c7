package dev.exile.migration;

import dev.exile.ipc.HomeShared;
import dev.exile.process.Cgroup;
import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import dev.exile.process.ProcessTree;
import dev.exile.shim.FreezeGuard;
import dev.exile.shim.Shim;
import dev.exile.streams.Terminal;
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

  private final Shim shim;
  private final Facts facts;
  private final Cgroup cgroup;
  private final int root;
  private final boolean shellJob;
  private final boolean orphaned;
  private final FreezeGuard guard;
  private boolean ours = true;

  private FrozenTree(
      Shim shim, Facts facts, ProcessTree tree, boolean shellJob, FreezeGuard guard) {
    this.shim = shim;
    this.facts = facts;
    this.cgroup = new Cgroup(Path.of(facts.cgroup));
    this.root = tree.root().pid();
    this.shellJob = shellJob;
    this.orphaned = tree.isOrphaned();
    this.guard = guard;
  }

  /** Moves the tree, which runs on, into its cgroup and starts the guard. */
  static FrozenTree prepare(Site site, Facts facts, ProcessTree tree, HomeShared shared)
      throws IOException {
    Path origin = Cgroup.of(tree.root().pid()).directory();
    facts.cgroup = origin.resolve("exile-" + facts.id).toString();
    site.journal().save(facts); // before it is there: whoever comes after us finds it
    Cgroup cgroup = new Cgroup(origin).create("exile-" + facts.id);
    gather(site, facts, tree.root(), cgroup);
    boolean terminal = Terminal.of(tree.pids()) != null;
    boolean shellJob = terminal || tree.root().session() != tree.root().pid();
    List<String> dump =
        site.criu()
            .dump(
                tree.root().pid(),
                site.images(facts.id),
                site.log(facts.id, "dump"),
                cgroup.directory(),
                shellJob,
                shared.files(),
                terminal ? Terminal.external() : List.of());
    FreezeGuard guard =
        FreezeGuard.start(
            site.shim(),
            cgroup.directory(),
            origins(facts),
            shared.sysv(),
            HomePages.veil(site, facts),
            dump);
    return new FrozenTree(site.shim(), facts, tree, shellJob, guard);
  }

  /** A child forked while we move its parent may be left outside: look again until none is. */
  private static void gather(Site site, Facts facts, ProcessInfo root, Cgroup cgroup)
      throws IOException {
    for (int scan = 0; scan < SCANS; scan++) {
      ProcessTree tree =
          ProcessTree.of(root.pid())
              .filter(t -> t.root().startTicks() == root.startTicks())
              .orElseThrow(() -> new ProcessEndedException(root.pid()));
      Map<Integer, String> origins = new LinkedHashMap<>(facts.origins);
      List<Integer> outside = new ArrayList<>();
      for (ProcessInfo member : tree.members()) {
        Cgroup origin;
        try {
          origin = Cgroup.of(member.pid());
        } catch (IOException e) {
          rethrowUnlessEnded(member.pid(), e);
          continue;
        }
        if (!origin.equals(cgroup)) {
          outside.add(member.pid());
          origins.put(member.pid(), origin.directory().toString());
        } else {
          origins.putIfAbsent(member.pid(), origins.get(root.pid()));
        }
      }
      facts.origins = origins;
      site.journal().save(facts);
      if (outside.isEmpty()) {
        return;
      }
      for (int pid : outside) {
        addUnlessEnded(cgroup, pid);
      }
    }
    throw new IOException(
        "process " + root.pid() + " starts new processes faster than they can be gathered");
  }

  private static void addUnlessEnded(Cgroup cgroup, int pid) throws IOException {
    try {
      cgroup.add(pid);
    } catch (IOException e) {
      rethrowUnlessEnded(pid, e);
    }
  }

  /** A descendant may end at any moment; the root's end is noticed by the next scan. */
  private static void rethrowUnlessEnded(int pid, IOException e) throws IOException {
    if (Proc.info(pid).filter(info -> info.state() != 'Z').isPresent()) {
      throw e;
    }
  }

  /** The cgroup that each process came from. */
  static Map<Integer, Path> origins(Facts facts) {
    Map<Integer, Path> origins = new LinkedHashMap<>();
    facts.origins.forEach((pid, directory) -> origins.put(pid, Path.of(directory)));
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
      throw new ProcessEndedException(root);
    }
    pids.add(0, root);
    return pids;
  }

  /** When each of the processes began, in clock ticks since boot, by PID, in the given order. */
  static Map<Integer, Long> startTicks(List<Integer> pids) {
    Map<Integer, Long> ticks = new LinkedHashMap<>();
    for (int pid : pids) {
      Proc.info(pid).ifPresent(process -> ticks.put(pid, process.startTicks()));
    }
    return ticks;
  }

  /** Whether its session, or its terminal, is not its own. */
  boolean shellJob() {
    return shellJob;
  }

  /** Whether the root's process group is orphaned, see {@link ProcessTree#isOrphaned}. */
  boolean orphaned() {
    return orphaned;
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
      release(shim, facts);
    }
  }

  // ---- Without a guard: after the agent was started again, or before there was one. ----

  /** Thaws what the journal tells of, moves it back and removes the cgroup. */
  static void release(Shim shim, Facts facts) throws IOException {
    if (facts.cgroup.isEmpty()) {
      return;
    }
    Cgroup cgroup = new Cgroup(Path.of(facts.cgroup));
    if (!cgroup.exists()) {
      return;
    }
    try {
      shim.settle(cgroup.directory(), List.of());
    } catch (IOException e) {
      // It runs all the same; a handler that has waited may find a wait that goes on.
      LOG.warn("{}: {}", facts.id, e.getMessage());
    }
    cgroup.freeze(false);
    Map<Integer, Path> origins = origins(facts);
    Path parent = cgroup.directory().getParent();
    for (int pid : cgroup.pids()) {
      new Cgroup(origins.getOrDefault(pid, parent)).add(pid);
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
