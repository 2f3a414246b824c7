package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** The processes of the shim that outlive an agent, by the names that they have in {@code ps}. */
final class Resident {
  static final String PARK = "exile-park";
  static final String PUMP = "exile-pump";

  /** The pump's. */
  static final String KEEPER = "exile-keeper";

  static final String PAGER = "exile-pager";

  /** The pager's keeper, which is there as long as it is. */
  static final String PAGER_KEEPER = "exile-keeper of pager";

  /** Home's, of a process whose pages are not all at the destination. */
  static final String MEMORY = "exile-memory";

  private static final Duration LIMIT = Duration.ofSeconds(20);

  private Resident() {}

  /** Kills these, of each of which there is one in the host, at once, and waits for their ends. */
  static void kill(Testbed bed, String host, String... names) {
    List<Integer> pids = Arrays.stream(names).map(name -> pid(bed, host, name)).toList();
    pids.forEach(pid -> signal(pid, "STOP")); // none sees the end of another
    pids.forEach(pid -> signal(pid, "KILL"));
    Await.until(
        LIMIT,
        () -> "they end: " + List.of(names),
        () -> pids.stream().noneMatch(pid -> ProcessHandle.of(pid).isPresent()));
  }

  /** Runs a step, and returns once the agent has logged such a line since. */
  static void untilLogged(Testbed bed, String host, String text, Runnable step) {
    long before = logged(bed, host, text);
    step.run();
    Await.until(
        LIMIT,
        () -> "the agent of " + host + " says '" + text + "'",
        () -> logged(bed, host, text) > before);
  }

  private static long logged(Testbed bed, String host, String text) {
    return bed.agentLog(host).lines().filter(line -> line.contains(text)).count();
  }

  private static int pid(Testbed bed, String host, String name) {
    Await.until(LIMIT, () -> name + " is there", () -> !pids(bed, host, name).isEmpty());
    List<Integer> found = pids(bed, host, name);
    assertEquals(1, found.size(), () -> name + ": " + found);
    return found.get(0);
  }

  private static List<Integer> pids(Testbed bed, String host, String name) {
    return bed.processes(host).stream().map(Proc::pid).filter(pid -> isCalled(pid, name)).toList();
  }

  private static boolean isCalled(int pid, String name) {
    String command = Proc.read(Path.of("/proc", "" + pid, "comm")).strip();
    return switch (name) {
      case KEEPER -> command.equals(KEEPER) && commandLine(pid).contains("pump");
      case PAGER_KEEPER -> command.equals(KEEPER) && commandLine(pid).contains("pager");
      default -> command.equals(name);
    };
  }

  private static String commandLine(int pid) {
    return Proc.read(Path.of("/proc", "" + pid, "cmdline"));
  }

  private static void signal(int pid, String name) {
    Commands.run(Map.of(), List.of("kill", "-" + name, Integer.toString(pid))).orFail();
  }
}
