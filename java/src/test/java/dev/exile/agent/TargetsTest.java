package dev.exile.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.exile.migration.RefusedException;
import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The JVM of the test is the agent here. */
class TargetsTest {
  @TempDir private Path temp;
  private final List<Long> started = new ArrayList<>();

  @AfterEach
  void endAll() {
    started.forEach(pid -> ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly));
  }

  private static String refusal(String target) {
    RefusedException refused = assertThrows(RefusedException.class, () -> Targets.find(target));
    assertEquals(1, refused.refusals().size());
    assertTrue(!refused.refusals().get(0).remedy().isBlank());
    return refused.refusals().get(0).what();
  }

  /** Starts a program that is no descendant of ours, as daemons are not. */
  private int daemon(String program, String... arguments) throws IOException {
    List<String> words = new ArrayList<>(List.of("sh", "-c"));
    words.add("setsid \"$@\" </dev/null >/dev/null 2>&1 & echo $!");
    words.addAll(List.of("sh", program));
    words.addAll(List.of(arguments));
    Process starter = new ProcessBuilder(words).start();
    int pid = Integer.parseInt(starter.inputReader().readLine());
    started.add((long) pid);
    while (!Proc.link(pid, "exe").orElseThrow().equals(program)) {
      Thread.onSpinWait();
    }
    return pid;
  }

  /** A program of a name that nothing else on the machine has; at most 15 bytes are kept. */
  private String program(String name) throws IOException {
    Path program = temp.resolve(name + ProcessHandle.current().pid());
    Files.copy(
        Path.of("/bin/sleep").toRealPath(),
        program,
        StandardCopyOption.COPY_ATTRIBUTES,
        StandardCopyOption.REPLACE_EXISTING);
    return program.toString();
  }

  private static String name(String program) {
    return Path.of(program).getFileName().toString();
  }

  @Test
  void processIsFoundByItsPid() throws Exception {
    int pid = daemon(program("pid"), "1000");
    assertEquals(List.of(pid), Targets.find("" + pid).pids());
  }

  @Test
  void processIsFoundByItsName() throws Exception {
    String program = program("one");
    int pid = daemon(program, "1000");
    assertEquals(pid, Targets.find(name(program)).root().pid());
  }

  @Test
  void processIsFoundByANameThatTheKernelHasCut() throws Exception {
    String program = program("a-very-long-name-");
    int pid = daemon(program, "1000");
    assertEquals(pid, Targets.find(name(program)).root().pid());
  }

  @Test
  void nameOfTwoProcessesNamesThemBoth() throws IOException {
    String program = program("two");
    int one = daemon(program, "1000");
    int two = daemon(program, "1000");

    RefusedException refused =
        assertThrows(RefusedException.class, () -> Targets.find(name(program)));

    String said = refused.refusals().get(0).what() + refused.refusals().get(0).remedy();
    assertTrue(said.contains("" + one) && said.contains("" + two), said);
    assertTrue(said.contains("2 processes"), said);
  }

  @Test
  void pidOrNameOfNobodyIsRefused() {
    assertTrue(refusal("999999999").contains("no process 999999999"));
    assertTrue(refusal("no-such-program").contains("no-such-program"));
    assertTrue(refusal("0").contains("no process 0"));
    assertTrue(refusal("99999999999999999999").contains("99999999999999999999"));
  }

  @Test
  void initIsRefused() {
    assertTrue(refusal("1").contains("init"));
  }

  @Test
  void threadOfTheKernelIsRefused() {
    // PID 2 on every machine, but not in a container.
    assumeTrue(Proc.info(2).map(ProcessInfo::kernelThread).orElse(false), "no kthreadd here");
    assertTrue(refusal("2").contains("process 2 (kthreadd) is a thread of the kernel"));
    assertTrue(refusal("kthreadd").contains("kthreadd"));
  }

  @Test
  void agentItselfIsRefused() {
    assertTrue(refusal("" + ProcessHandle.current().pid()).contains("is the agent itself"));
  }

  @Test
  void childAndGrandchildOfTheAgentAreRefused() throws Exception {
    Process child = new ProcessBuilder("sh", "-c", "sleep 1000 & echo $!; wait").start();
    started.add(child.pid());
    String grandchild = child.inputReader().readLine();
    started.add(Long.valueOf(grandchild));

    assertTrue(refusal("" + child.pid()).contains("is a child of the agent"));
    assertTrue(refusal(grandchild).contains("is a child of the agent"));
  }

  @Test
  void processThatHasTheAgentBelowItIsRefused() {
    ProcessHandle parent = ProcessHandle.current().parent().orElseThrow();
    assumeTrue(parent.pid() != 1, "our parent is the machine's init");
    assertTrue(refusal("" + parent.pid()).contains("has the agent among its descendants"));
  }

  @Test
  void zombieIsRefused() throws IOException {
    // By the time it ends its parent has become a program that waits for nobody.
    Process parent = new ProcessBuilder("sh", "-c", "sleep 0.3 & echo $!; exec sleep 1000").start();
    started.add(parent.pid());
    String zombie = parent.inputReader().readLine();
    while (Proc.info(Integer.parseInt(zombie)).orElseThrow().state() != 'Z') {
      Thread.onSpinWait();
    }
    String said = refusal(zombie);
    assertTrue(said.contains("has already ended"), said);
  }
}
