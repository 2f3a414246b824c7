package dev.exile.it;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A test bed of its own: hosts made of namespaces, an agent in each. Wraps scripts/testbed. */
final class Testbed implements AutoCloseable {
  /** The checkout. */
  static final Path ROOT = root();

  private static final Path SCRIPT = ROOT.resolve("scripts/testbed");

  /** Of one build's test beds; {@code mvn clean} removes them. */
  private static final Path KEYS = ROOT.resolve("java/target/testbed-keys");

  private static final AtomicInteger COUNT = new AtomicInteger();

  private final String name;
  private final List<String> hosts;
  private final Map<String, String> environment;
  private final Path state;
  private final Path cgroup;
  private final Path work;
  private final Map<String, String> addresses = new HashMap<>();
  private final Map<String, Traces> before = new HashMap<>();
  private final List<Daemon> daemons = new ArrayList<>();
  private final List<Process> spawned = new ArrayList<>();

  private Testbed(String name, List<String> hosts, String agentOptions) throws IOException {
    this.name = name;
    this.hosts = hosts;
    this.environment =
        Map.of("EXILE_AGENT_OPTS", agentOptions, "EXILE_TESTBED_KEYS", KEYS.toString());
    this.state = Path.of("/run/exile-testbed", name);
    this.cgroup = cgroupRoot().resolve("exile-testbed-" + name);
    this.work = Files.createTempDirectory("exile-it-");
  }

  /**
   * Makes the hosts and starts their agents.
   *
   * @param options of {@code testbed up}, such as {@code --no-agents}
   * @param agentOptions for the agents' JVMs
   */
  static Testbed up(List<String> options, List<String> hosts, String agentOptions) {
    String name = "it%d-%d".formatted(ProcessHandle.current().pid(), COUNT.incrementAndGet());
    try {
      Testbed bed = new Testbed(name, hosts, agentOptions);
      List<String> arguments = new ArrayList<>(List.of("up"));
      arguments.addAll(options);
      arguments.addAll(hosts);
      Commands.Result up = bed.script(arguments);
      if (up.exit() != 0) {
        bed.close();
        up.orFail();
      }
      hosts.forEach(host -> bed.before.put(host, Traces.of(bed, host)));
      return bed;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A directory that machine and hosts share; removed with the test bed. */
  Path work() {
    return work;
  }

  String name() {
    return name;
  }

  List<String> hosts() {
    return hosts;
  }

  /** The cgroup of a host's processes. */
  Path cgroup(String host) {
    return cgroup.resolve(host);
  }

  /** A host's own /run, seen from here. */
  Path run(String host) {
    return Path.of("/proc", Integer.toString(init(host)), "root/run");
  }

  /** The PID on the machine of a host's init. */
  int init(String host) {
    return Integer.parseInt(Proc.read(state.resolve(host + ".init")).strip());
  }

  String ip(String host) {
    return addresses.computeIfAbsent(host, h -> verb("ip", h).out().strip());
  }

  String ip6(String host) {
    return addresses.computeIfAbsent("6" + host, h -> verb("ip6", host).out().strip());
  }

  /** The agent's log of a host, all of it. */
  String agentLog(String host) {
    return Proc.read(agentLogFile(host));
  }

  Path agentLogFile(String host) {
    return state.resolve(host + ".agent.log");
  }

  /** The test bed's certificate authority and the keys that it issued. */
  Path keys() {
    return state.resolve("keys");
  }

  /** The PID on the machine. */
  int agentPid(String host) {
    return Integer.parseInt(verb("agent-pid", host).out().strip());
  }

  boolean agentRuns(String host) {
    return script(List.of("agent-pid", host)).exit() == 0;
  }

  void agentStop(String host, String signal) {
    verb("agent-stop", host, signal);
  }

  /** Starts a host's agent again. */
  void agentStart(String host) {
    verb("agent-start", host);
  }

  /** Cuts a host off from all others: nothing that is sent arrives, and nobody hears of it. */
  void cut(String host) {
    cable(host, "down");
  }

  /** Undoes {@link #cut}. */
  void join(String host) {
    cable(host, "up");
  }

  // Its plug on the bridge: within the host everything looks as ever.
  private void cable(String host, String state) {
    String fabric = Proc.read(this.state.resolve(".fabric.init")).strip();
    String plug = "h" + (hosts.indexOf(host) + 1);
    Commands.run(Map.of(), List.of("nsenter", "-t", fabric, "-n", "ip", "link", "set", plug, state))
        .orFail();
  }

  /** Runs a command in a host to its end. */
  Commands.Result exec(String host, String... command) {
    List<String> arguments = new ArrayList<>(List.of("exec", host));
    arguments.addAll(Arrays.asList(command));
    return script(arguments);
  }

  /** Starts a command in a host; its standard streams are pipes to here. */
  Process spawn(String host, List<String> command) {
    List<String> arguments = new ArrayList<>(List.of("exec", host));
    arguments.addAll(command);
    Process process = Commands.start(environment, line(arguments));
    spawned.add(process);
    return process;
  }

  /** Starts a server in a host: a session of its own, no terminal, no pipes. */
  Daemon daemon(String host, String... command) {
    List<String> words = new ArrayList<>(List.of("exec", host, "sh", "-c"));
    words.add("setsid \"$@\" </dev/null >/dev/null 2>&1 & echo $!");
    words.add("sh");
    words.addAll(Arrays.asList(command));
    int pid = Integer.parseInt(script(words).orFail().out().strip());
    Daemon daemon = new Daemon(this, host, pid);
    daemons.add(daemon);
    return daemon;
  }

  /** Starts one of the Python servers of src/test/workloads. */
  Daemon python(String host, String script, Object... arguments) {
    return daemon(host, Workload.python(script, arguments).toArray(String[]::new));
  }

  /** Returns once a port listens in a host. */
  void awaitListening(String host, int port) {
    String wanted = ":%04X ".formatted(port);
    Await.until(
        Duration.ofSeconds(20),
        () -> "port " + port + " listens on " + host,
        () ->
            Stream.of("tcp", "tcp6")
                .flatMap(
                    table -> Proc.read(Path.of("/proc", "" + init(host), "net", table)).lines())
                .anyMatch(line -> line.contains(wanted) && line.matches(".*:0000 0A .*")));
  }

  /** Every process of a host. */
  List<Proc> processes(String host) {
    return Proc.in(cgroup(host));
  }

  /**
   * Those of a host that have this PID, as they count themselves. A job of the shim that happens to
   * have it does not count; a deputy does.
   */
  List<Proc> processes(String host, int pid) {
    return processes(host).stream()
        .filter(process -> process.innerPid() == pid && !process.isShimsJob())
        .toList();
  }

  /** What migrations left in any host, one line each; what the test itself started is no trace. */
  List<String> leftovers() {
    List<String> left = new ArrayList<>();
    Set<Long> ours =
        spawned.stream()
            .flatMap(process -> process.descendants())
            .map(ProcessHandle::pid)
            .collect(Collectors.toSet());
    for (String host : hosts) {
      before.get(host).compare(Traces.of(this, host)).forEach(line -> left.add(host + ": " + line));
      int init = init(host);
      String agent = Proc.read(state.resolve(host + ".agent")).strip();
      for (Proc process : processes(host)) {
        boolean own =
            ours.contains((long) process.pid())
                || daemons.stream().anyMatch(daemon -> daemon.owns(host, process));
        if (process.pid() != init && !agent.equals("" + process.pid()) && !own) {
          left.add(host + ": process " + process);
        }
      }
    }
    return left;
  }

  /** Ends what the test started in the hosts, wherever it runs by now. */
  void endWorkloads() {
    spawned.forEach(Process::destroy);
    spawned.clear();
    for (Daemon daemon : daemons) {
      daemon.kill();
    }
    daemons.clear();
  }

  @Override
  public void close() {
    spawned.forEach(Process::destroy);
    verb("down");
    try (Stream<Path> files = Files.walk(work)) {
      files.sorted(java.util.Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** What the machine still shows of this test bed, one line each. */
  List<String> remains() {
    List<String> left = new ArrayList<>();
    for (Path path : List.of(state, cgroup, work)) {
      if (Files.exists(path)) {
        left.add(path.toString());
      }
    }
    Proc.read(Path.of("/proc/self/mountinfo"))
        .lines()
        .filter(line -> line.contains(name))
        .forEach(left::add);
    return left;
  }

  private Commands.Result verb(String... arguments) {
    return script(List.of(arguments)).orFail();
  }

  private Commands.Result script(List<String> arguments) {
    return Commands.run(environment, line(arguments));
  }

  private List<String> line(List<String> arguments) {
    List<String> line = new ArrayList<>(List.of(SCRIPT.toString(), "--name", name));
    line.addAll(arguments);
    return line;
  }

  private static Path cgroupRoot() {
    return Proc.read(Path.of("/proc/mounts"))
        .lines()
        .map(line -> line.split(" ", -1))
        .filter(mount -> mount[2].equals("cgroup2"))
        .map(mount -> Path.of(mount[1]))
        .findFirst()
        .orElse(Path.of("/run/exile-testbed/cgroup2"));
  }

  private static Path root() {
    Path path = Path.of("").toAbsolutePath();
    while (!Files.exists(path.resolve("scripts/testbed"))) {
      path = path.getParent();
      if (path == null) {
        throw new IllegalStateException(
            "scripts/testbed is not above " + Path.of("").toAbsolutePath());
      }
    }
    return path;
  }
}
