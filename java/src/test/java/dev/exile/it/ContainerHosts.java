package dev.exile.it;

import com.github.dockerjava.api.model.AccessMode;
import com.github.dockerjava.api.model.Bind;
import com.github.dockerjava.api.model.Capability;
import com.github.dockerjava.api.model.HostConfig;
import com.github.dockerjava.api.model.Volume;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.testcontainers.containers.Container.ExecResult;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.images.builder.ImageFromDockerfile;

/**
 * Hosts made of containers, an agent in each. Nothing can be pulled, so their image is made here:
 * an empty root file system whose /usr, /etc and checkout are the machine's, read-only; which also
 * makes them the same on all hosts.
 */
final class ContainerHosts implements AutoCloseable {
  /**
   * What agents and CRIU need, as {@code --privileged} asks for more than some machines have
   * (CAP_SYS_RESOURCE).
   */
  private static final Capability[] CAPABILITIES = {
    Capability.AUDIT_WRITE,
    Capability.DAC_READ_SEARCH,
    Capability.IPC_LOCK,
    Capability.IPC_OWNER,
    Capability.LEASE,
    Capability.LINUX_IMMUTABLE,
    Capability.NET_ADMIN,
    Capability.NET_BROADCAST,
    Capability.SYS_ADMIN,
    Capability.SYS_NICE,
    Capability.SYS_PTRACE,
    Capability.SYS_TIME,
    Capability.SYSLOG,
  };

  /**
   * CRIU writes a sysctl. Then reads for ever from a pipe, which costs nothing, and reaps, as bash
   * does by itself.
   */
  private static final String INIT =
      "mount -o remount,bind,rw /proc/sys; exec 4<> <(:); while :; do read -r -u 4 || sleep 1; done";

  private final Map<String, GenericContainer<?>> containers = new LinkedHashMap<>();
  private final Path work;

  private ContainerHosts(Path work) {
    this.work = work;
  }

  /**
   * Starts them and their agents.
   *
   * @param work for keys, configuration and the agents' logs; the caller's to remove
   */
  static ContainerHosts start(Path work, List<String> names) throws IOException {
    ContainerHosts hosts = new ContainerHosts(work);
    try {
      ImageFromDockerfile image = image(work);
      for (String name : names) {
        GenericContainer<?> container = new GenericContainer<>(image);
        container
            .withCommand("/bin/bash", "-c", INIT)
            .withCreateContainerCmdModifier(
                create ->
                    create
                        .withHostName(name)
                        .withHostConfig(configure(create.getHostConfig(), work)));
        container.start();
        hosts.containers.put(name, container);
      }
      hosts.startAgents();
      return hosts;
    } catch (IOException | RuntimeException e) {
      hosts.close();
      throw e;
    }
  }

  private static ImageFromDockerfile image(Path work) throws IOException {
    Path root = Files.createDirectory(work.resolve("root"));
    for (String directory : List.of("dev", "etc", "opt", "proc", "run", "sys", "tmp", "usr")) {
      Files.createDirectory(root.resolve(directory));
    }
    for (String directory : List.of("root", "var", "var/lib", "var/tmp")) {
      Files.createDirectory(root.resolve(directory));
    }
    for (String link : List.of("bin", "sbin", "lib", "lib64")) {
      Files.createSymbolicLink(root.resolve(link), Path.of("usr", link));
    }
    Path archive = work.resolve("root.tar");
    Commands.run(Map.of(), List.of("tar", "-C", "" + root, "-cf", "" + archive, ".")).orFail();
    return new ImageFromDockerfile("exile-it", false)
        .withFileFromPath("root.tar", archive)
        .withDockerfileFromBuilder(builder -> builder.from("scratch").add("root.tar", "/"));
  }

  private static HostConfig configure(HostConfig config, Path work) {
    List<Bind> binds = new ArrayList<>();
    Path java = Path.of(System.getProperty("java.home"));
    for (Path path :
        List.of(Path.of("/usr"), Path.of("/etc"), Path.of("/opt"), Testbed.ROOT, java)) {
      if (binds.stream().noneMatch(bind -> path.startsWith(bind.getPath()))) {
        binds.add(new Bind(path.toString(), new Volume(path.toString()), AccessMode.ro));
      }
    }
    binds.add(new Bind(work.toString(), new Volume(work.toString())));
    return config
        .withBinds(binds)
        .withTmpFs(Map.of("/run", "mode=755"))
        .withCapAdd(CAPABILITIES)
        .withSecurityOpts(List.of("seccomp=unconfined", "apparmor=unconfined"));
  }

  private void startAgents() throws IOException {
    Path keys = work.resolve("keys");
    String exile = Testbed.ROOT.resolve("scripts/exile").toString();
    Commands.run(Map.of(), List.of(exile, "keys", "init", keys.toString())).orFail();
    for (String name : containers.keySet()) {
      Commands.run(
              Map.of(),
              List.of(exile, "keys", "issue", keys.toString(), name, "--address", ip(name)))
          .orFail();
      Files.writeString(work.resolve(name + ".yaml"), configuration(name, keys));
      daemon(name, "exile agent --config %1$s/%2$s.yaml >%1$s/%2$s.log 2>&1".formatted(work, name));
    }
    for (String name : containers.keySet()) {
      Await.until(
          Duration.ofMinutes(3),
          () -> "the agent of " + name + " answers" + logs(),
          () -> exec(name, "exile", "ps").getExitCode() == 0);
    }
  }

  private String configuration(String name, Path keys) {
    StringBuilder text =
        new StringBuilder(
            """
            name: %1$s
            address: %2$s
            port: 7433
            keys: %3$s/%1$s
            run: /run/exile
            peers:
            """
                .formatted(name, ip(name), keys));
    containers.keySet().stream()
        .filter(other -> !other.equals(name))
        .forEach(other -> text.append("  %s: %s%n".formatted(other, ip(other))));
    return text.toString();
  }

  String ip(String name) {
    return containers
        .get(name)
        .getContainerInfo()
        .getNetworkSettings()
        .getNetworks()
        .get("bridge")
        .getIpAddress();
  }

  /** Runs a command in a host to its end. */
  ExecResult exec(String name, String... command) {
    List<String> words = new ArrayList<>(List.of("env", "PATH=" + path()));
    words.addAll(Arrays.asList(command));
    try {
      return containers.get(name).execInContainer(words.toArray(String[]::new));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  /** Starts a server in a host, as a child of its init. */
  void daemon(String name, String command) {
    ExecResult started =
        exec(
            name,
            "sh",
            "-c",
            "setsid sh -c \"$1\" </dev/null >/dev/null 2>&1 &",
            "sh",
            "exec " + command);
    if (started.getExitCode() != 0) {
      throw new AssertionError(started.toString());
    }
  }

  /** The command line that runs a command in a host with this machine's standard streams. */
  List<String> interactive(String name, List<String> command) {
    List<String> line =
        new ArrayList<>(
            List.of(
                "docker",
                "-H",
                "unix://" + System.getenv(NeedsEngine.SOCKET),
                "exec",
                "-i",
                containers.get(name).getContainerId()));
    line.addAll(command);
    return line;
  }

  /** How many processes of that name run in a host, those in cells included. */
  long running(String name, String command) {
    return exec(name, "ps", "-e", "-o", "comm=")
        .getStdout()
        .lines()
        .filter(command::equals)
        .count();
  }

  private static String path() {
    return Testbed.ROOT.resolve("scripts") + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";
  }

  /** The agents' logs. */
  String logs() {
    StringBuilder text = new StringBuilder();
    try (Stream<Path> files = Files.list(work)) {
      for (Path log : files.filter(file -> file.toString().endsWith(".log")).sorted().toList()) {
        text.append("\n== ").append(log.getFileName()).append('\n').append(Files.readString(log));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }

  @Override
  public void close() {
    containers.values().forEach(GenericContainer::stop);
    containers.clear();
  }
}
