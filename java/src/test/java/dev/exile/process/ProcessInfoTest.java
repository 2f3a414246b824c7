package dev.exile.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ProcessInfoTest {
  private static final String REST =
      " S 17 4711 4712 34816 4711 4194304 100 0 0 0 1 2 0 0 20 0 5 0 987654321 1000 200 184467\n";

  @ParameterizedTest
  @ValueSource(
      strings = {
        "redis-server",
        "Web Content",
        "tmux: server",
        "(sd-pam)",
        "a) R 1 (b",
        "a (deleted)",
        "))",
        "two\nlines",
        " ",
        "",
      })
  void nameMayHoldSpacesAndParentheses(String name) {
    ProcessInfo info = ProcessInfo.parse("4711 (" + name + ")" + REST);
    assertEquals(new ProcessInfo(4711, 17, 4711, 4712, 34816, 'S', 987654321, false, name), info);
  }

  @Test
  void threadOfTheKernelIsKnownByItsFlag() {
    assertTrue(
        ProcessInfo.parse("2 (kthreadd)" + REST.replace("4194304", "2129984")).kernelThread());
    assertFalse(ProcessInfo.parse("2 (kthreadd)" + REST).kernelThread());
  }

  @Test
  void ownProcessIsThere() {
    int self = (int) ProcessHandle.current().pid();
    ProcessInfo info = Proc.info(self).orElseThrow();
    assertEquals(self, info.pid());
    assertEquals(
        ProcessHandle.current().parent().map(ProcessHandle::pid).orElse(0L), info.parent());
    assertFalse(info.kernelThread());
    assertTrue(Proc.all().stream().anyMatch(other -> other.pid() == self));
  }

  @Test
  void processThatIsGoneIsSimplyNotThere() throws Exception {
    Process child = new ProcessBuilder("true").start();
    child.waitFor();
    int pid = (int) child.pid();
    assertTrue(Proc.info(pid).isEmpty());
    assertTrue(Proc.link(pid, "exe").isEmpty());
    assertTrue(Proc.descriptors(pid).isEmpty());
    assertTrue(Proc.namespacePids(pid).isEmpty());
    assertEquals(0, Proc.residentBytes(pid));
    assertTrue(ProcessTree.of(pid).isEmpty());
  }
}
