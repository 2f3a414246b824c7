package dev.exile.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;

/** The kernel's own cgroup2. */
@EnabledIfSystemProperty(
    named = "user.name",
    matches = "root",
    disabledReason = "cgroups are made by root")
class CgroupTest {
  private Cgroup cgroup;
  private Process child;

  @BeforeEach
  void start() throws IOException {
    int self = (int) ProcessHandle.current().pid();
    cgroup = Cgroup.of(self).create("exile-unit-test-" + self);
    child = new ProcessBuilder("sleep", "1000").start();
  }

  @AfterEach
  void end() throws Exception {
    if (cgroup.exists()) {
      cgroup.freeze(false);
      cgroup.kill();
    }
    child.destroyForcibly().waitFor();
    cgroup.remove();
  }

  private int pid() {
    return (int) child.pid();
  }

  private void awaitFrozen(boolean frozen) throws Exception {
    for (int i = 0; i < 5_000 && cgroup.frozen() != frozen; i++) {
      Thread.sleep(1);
    }
    assertEquals(frozen, cgroup.frozen());
  }

  @Test
  void processIsFoundWhereItWasPut() throws IOException {
    assertEquals(List.of(), cgroup.pids());

    cgroup.add(pid());

    assertEquals(List.of(pid()), cgroup.pids());
    assertEquals(cgroup, Cgroup.of(pid()));
    new Cgroup(cgroup.directory().getParent()).add(pid());
    assertEquals(List.of(), cgroup.pids());
  }

  @Test
  void freezesAndThaws() throws Exception {
    cgroup.add(pid());
    assertFalse(cgroup.frozen());

    cgroup.freeze(true);
    awaitFrozen(true);
    cgroup.freeze(false);
    awaitFrozen(false);

    assertTrue(child.isAlive());
  }

  @Test
  void whatStandsFrozenCanBeKilled() throws Exception {
    cgroup.add(pid());
    cgroup.freeze(true);
    awaitFrozen(true);

    cgroup.kill();

    assertEquals(128 + 9, child.waitFor());
    cgroup.remove();
    assertFalse(cgroup.exists());
    cgroup.remove(); // nothing to do, no failure
  }

  @Test
  void whatProcessesHaveMadeBelowItIsRemovedWithIt() throws Exception {
    Cgroup below = cgroup.create("made").create("deeper");
    below.add(pid());

    cgroup.kill();
    child.waitFor();
    cgroup.remove();

    assertFalse(cgroup.exists());
  }
}
