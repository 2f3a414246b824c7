package dev.exile.agent;

import dev.exile.migration.RefusedException;
import dev.exile.negotiation.Refusal;
import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import dev.exile.process.ProcessTree;
import java.util.List;
import java.util.stream.Collectors;

/** Finds the process that an operator means, and refuses those that nobody may move. */
final class Targets {
  private Targets() {}

  /**
   * The tree to be moved.
   *
   * @param target a PID, or the name of a command that only one tree has
   * @throws RefusedException where there is none, or none that may be moved
   */
  static ProcessTree find(String target) throws RefusedException {
    int pid = target.matches("\\d{1,9}") ? Integer.parseInt(target) : pidOf(target);
    ProcessTree tree =
        ProcessTree.of(pid)
            .orElseThrow(() -> refusal("there is no process " + pid, "see ps for what runs here"));
    ProcessInfo root = tree.root();
    String name = "process %d (%s)".formatted(pid, root.command());
    int self = (int) ProcessHandle.current().pid();
    if (pid == 1) {
      throw refusal(name + " is the init of this host", "name a process that it has started");
    }
    if (root.kernelThread()) {
      throw refusal(name + " is a thread of the kernel", "name a process of your own");
    }
    if (root.state() == 'Z') {
      throw refusal(name + " has already ended (zombie)", "its parent has only not waited for it");
    }
    if (pid == self) {
      throw refusal(name + " is the agent itself", "name a process of your own");
    }
    if (tree.isBelow(self)) {
      throw refusal(name + " is a child of the agent", "name a process of your own");
    }
    if (tree.pids().contains(self)) {
      throw refusal(
          name + " has the agent among its descendants",
          "name the part of it that you mean to move");
    }
    return tree;
  }

  private static int pidOf(String name) throws RefusedException {
    List<ProcessInfo> named =
        Proc.all().stream()
            .filter(
                p -> !p.kernelThread() && p.state() != 'Z' && p.command().equals(shortened(name)))
            .toList();
    List<Integer> pids = named.stream().map(ProcessInfo::pid).toList();
    // Workers mostly bear their master's name: the tree's root is meant.
    List<ProcessInfo> roots = named.stream().filter(p -> !pids.contains(p.parent())).toList();
    if (roots.isEmpty()) {
      throw refusal("no process is called '" + name + "'", "see ps -A for the names");
    }
    if (roots.size() > 1) {
      String choice =
          roots.stream().map(p -> Integer.toString(p.pid())).collect(Collectors.joining(", "));
      throw refusal(
          "%d processes are called '%s'".formatted(roots.size(), name),
          "name one by its PID: " + choice);
    }
    return roots.get(0).pid();
  }

  /** The kernel keeps 15 characters of a name (TASK_COMM_LEN). */
  private static String shortened(String name) {
    return name.length() > 15 ? name.substring(0, 15) : name;
  }

  private static RefusedException refusal(String what, String remedy) {
    return new RefusedException(List.of(new Refusal(what, remedy)));
  }
}
