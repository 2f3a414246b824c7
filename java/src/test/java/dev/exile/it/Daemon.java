package dev.exile.it;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;

/** A server that a test started in a host, and the copies of it that migrations make. */
final class Daemon {
  private static final Set<String> STARTERS =
      Set.of("", "sh", "dash", "bash", "setsid", "env", "unshare");

  private final Testbed bed;
  private final String home;
  private final int pid;
  private final Path program;

  Daemon(Testbed bed, String home, int pid) {
    this.bed = bed;
    this.home = home;
    this.pid = pid;
    // The shell forks before setsid executes the server: wait for that.
    Await.until(
        Duration.ofSeconds(10),
        () -> "process " + pid + " starts on " + home,
        () -> !STARTERS.contains(name(program())));
    this.program = program();
  }

  /** The PID in its host, before and after. */
  int pid() {
    return pid;
  }

  String home() {
    return home;
  }

  /** Every copy in a host, frozen or not. */
  List<Proc> copies(String host) {
    return bed.processes(host).stream().filter(process -> isCopy(host, process)).toList();
  }

  boolean owns(String host, Proc process) {
    return host.equals(home) && (isCopy(host, process) || isChild(process));
  }

  /** Asserts that exactly one copy runs, in this host; one more may stay frozen at home. */
  void assertRunsOnlyOn(String host) {
    // A copy that is being killed takes a moment to go.
    Await.until(
        Duration.ofSeconds(10),
        () -> "one running copy of " + program + " on " + host + ", but: " + describe(),
        () -> runningHosts().equals(List.of(host)));
    for (String other : bed.hosts()) {
      if (!other.equals(host) && !other.equals(home)) {
        Await.until(
            Duration.ofSeconds(10),
            () -> "no copy on " + other + ", but: " + copies(other),
            () -> copies(other).isEmpty());
      }
    }
  }

  /** Ends every copy, a running one first, so that its agents hear of a true end. */
  void kill() {
    for (String host : bed.hosts()) {
      bed.processes(host).stream()
          .filter(process -> isCopy(host, process) || isChild(process))
          .filter(Proc::running)
          .forEach(Daemon::end);
    }
  }

  private static void end(Proc process) {
    ProcessHandle.of(process.pid()).ifPresent(ProcessHandle::destroyForcibly);
  }

  private List<String> runningHosts() {
    return bed.hosts().stream()
        .flatMap(host -> copies(host).stream().filter(Proc::running).map(copy -> host))
        .toList();
  }

  private String describe() {
    StringBuilder text = new StringBuilder();
    for (String host : bed.hosts()) {
      text.append(host).append(": ").append(copies(host)).append("; ");
    }
    return text.toString();
  }

  // Another host may have a process of its own with the same program and number, but not in a cell.
  private boolean isCopy(String host, Proc process) {
    return process.innerPid() == pid
        && process.program().equals(program)
        && (process.inCell() || host.equals(home));
  }

  // The one server of the tests that has workers.
  private boolean isChild(Proc process) {
    return name(program).equals("nginx") && process.program().equals(program);
  }

  private Path program() {
    return bed.processes(home).stream()
        .filter(process -> process.innerPid() == pid)
        .map(Proc::program)
        .findFirst()
        .orElse(Path.of(""));
  }

  private static String name(Path program) {
    return program.getFileName().toString();
  }
}
