package dev.exile.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A shell with two children, one of them with a child of its own and a zombie. */
class ProcessTreeTest {
  private Process shell;
  private int root;
  private int one;
  private int two;
  private int below;

  @BeforeEach
  void start() throws IOException {
    shell =
        new ProcessBuilder(
                "sh",
                "-c",
                "sleep 1000 & echo $!;"
                    + " sh -c 'sleep 1001 & echo $!; exec sleep 1002' & echo $!; wait")
            .start();
    root = (int) shell.pid();
    BufferedReader out = shell.inputReader();
    List<Integer> told =
        List.of(
            Integer.valueOf(out.readLine()),
            Integer.valueOf(out.readLine()),
            Integer.valueOf(out.readLine()));
    one = told.get(0);
    // The two shells print in any order.
    two = parent(told.get(1)) == root ? told.get(1) : told.get(2);
    below = two == told.get(1) ? told.get(2) : told.get(1);
  }

  private static int parent(int pid) {
    return Proc.info(pid).orElseThrow().parent();
  }

  @AfterEach
  void end() throws InterruptedException {
    shell.descendants().forEach(ProcessHandle::destroyForcibly);
    shell.destroyForcibly().waitFor();
  }

  @Test
  void holdsAllDescendantsWithParentsFirst() {
    ProcessTree tree = ProcessTree.of(root).orElseThrow();
    assertEquals(root, tree.root().pid());
    assertEquals(4, tree.pids().size(), tree::toString);
    assertEquals(root, (int) tree.pids().get(0));
    assertTrue(tree.pids().containsAll(List.of(one, two, below)), tree::toString);
    assertTrue(tree.pids().indexOf(two) < tree.pids().indexOf(below), tree::toString);
    assertTrue(tree.residentBytes() > 0);
  }

  @Test
  void partOfATreeIsATree() {
    assertEquals(List.of(two, below), ProcessTree.of(two).orElseThrow().pids());
    assertEquals(List.of(one), ProcessTree.of(one).orElseThrow().pids());
  }

  @Test
  void itsGroupIsOrphanedWhereNoParentCouldWakeIt() throws IOException {
    for (String control : List.of("+m", "-m")) { // -m: as in an interactive shell
      Process session =
          new ProcessBuilder("setsid", "bash", "-c", "set " + control + "; sleep 9 & echo $!; wait")
              .start();
      int pid = Integer.parseInt(session.inputReader().readLine());
      assertEquals(control.equals("+m"), ProcessTree.of(pid).orElseThrow().isOrphaned(), control);
      ProcessHandle.of(pid).orElseThrow().destroyForcibly();
    }
  }

  @Test
  void isBelowItsAncestorsOnly() {
    ProcessTree tree = ProcessTree.of(below).orElseThrow();
    int self = (int) ProcessHandle.current().pid();
    for (int ancestor : List.of(below, two, root, self, 1)) {
      assertTrue(tree.isBelow(ancestor), "" + ancestor);
    }
    assertFalse(tree.isBelow(one));
  }
}
