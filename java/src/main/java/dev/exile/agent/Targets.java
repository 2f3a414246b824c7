package dev.exile.agent;

import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import dev.exile.process.ProcessTree;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.List;
import java.util.stream.Collectors;

/** Finds the process that an operator means, and refuses those that nobody may move. */
final class Targets {
  private Targets() {}

  /**
   * The tree to be moved.
   *
   * @param target a PID, or the name of a command that only one tree has
   * @throws StatusRuntimeException with the line for the operator where there is none
   */
  static ProcessTree find(String target) {
    int pid = target.matches("\\d{1,9}") ? Integer.parseInt(target) : pidOf(target);
    ProcessTree tree =
        ProcessTree.of(pid).orElseThrow(() -> fault(Status.NOT_FOUND, "no process " + target));
    ProcessInfo root = tree.root();
    long self = ProcessHandle.current().pid();
    if (root.pid() == 1) {
      throw fault(Status.INVALID_ARGUMENT, "process 1 is the init of this host and cannot move");
    }
    if (root.kernelThread()) {
      throw fault(
          Status.INVALID_ARGUMENT,
          "process %d (%s) is a thread of the kernel and cannot move"
              .formatted(pid, root.command()));
    }
    if (root.state() == 'Z') {
      throw fault(Status.FAILED_PRECONDITION, "process " + pid + " has already ended (zombie)");
    }
    if (root.pid() == self) {
      throw fault(
          Status.INVALID_ARGUMENT, "process " + pid + " is the agent itself and cannot move");
    }
    if (tree.isBelow((int) self)) {
      throw fault(
          Status.INVALID_ARGUMENT,
          "process %d (%s) is a child of the agent and cannot move".formatted(pid, root.command()));
    }
    if (tree.pids().contains((int) self)) {
      throw fault(
          Status.INVALID_ARGUMENT,
          "process %d (%s) has the agent among its descendants and cannot move"
              .formatted(pid, root.command()));
    }
    return tree;
  }

  private static int pidOf(String name) {
    List<ProcessInfo> named =
        Proc.all().stream()
            .filter(
                p -> !p.kernelThread() && p.state() != 'Z' && p.command().equals(shortened(name)))
            .toList();
    List<Integer> pids = named.stream().map(ProcessInfo::pid).toList();
    // Workers mostly bear their master's name: the tree's root is meant.
    List<ProcessInfo> roots = named.stream().filter(p -> !pids.contains(p.parent())).toList();
    if (roots.isEmpty()) {
      throw fault(Status.NOT_FOUND, "no process is called '" + name + "'");
    }
    if (roots.size() > 1) {
      throw fault(
          Status.INVALID_ARGUMENT,
          "%d processes are called '%s': name one by its PID (%s)"
              .formatted(
                  roots.size(),
                  name,
                  roots.stream()
                      .map(p -> Integer.toString(p.pid()))
                      .collect(Collectors.joining(", "))));
    }
    return roots.get(0).pid();
  }

  /** The kernel keeps 15 characters of a name (TASK_COMM_LEN). */
  private static String shortened(String name) {
    return name.length() > 15 ? name.substring(0, 15) : name;
  }

  static StatusRuntimeException fault(Status status, String line) {
    return status.withDescription(line).asRuntimeException();
  }
}
