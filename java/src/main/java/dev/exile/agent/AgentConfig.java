package dev.exile.agent;

import dev.exile.keys.Identity;
import dev.exile.keys.KeysException;
import java.nio.file.Path;
import java.util.Map;

/**
 * An agent's configuration.
 *
 * @param name this host's name, the same as in its certificate
 * @param address where this agent listens and what other hosts connect to, numeric
 * @param port of the gRPC services between agents; the carrier listens on the next one
 * @param keys the directory with this host's keys
 * @param run the run directory: the CLI's socket, the journal, by default the images
 * @param peers the other hosts by name; only these are let in
 * @param criu the CRIU program
 * @param images the directory for images
 */
public record AgentConfig(
    String name,
    String address,
    int port,
    Path keys,
    Path run,
    Map<String, HostPort> peers,
    Path criu,
    Path images) {
  /** The port of the gRPC services unless the configuration names another. */
  public static final int DEFAULT_PORT = 7433;

  /** The run directory unless the configuration names another. */
  public static final Path DEFAULT_RUN = Path.of("/run/exile");

  /** The CRIU that scripts/setup unpacks where the distribution's does not work. */
  public static final Path BUNDLED_CRIU = Path.of("/opt/exile/criu/bin/criu");

  /**
   * Reads and checks a configuration and the keys it points to.
   *
   * @throws ConfigException with every problem at once
   */
  public static AgentConfig load(Path file) throws ConfigException {
    return AgentConfigReader.read(file);
  }

  /** Where this agent listens. */
  public HostPort self() {
    return new HostPort(address, port);
  }

  /** The unix socket for the CLI. */
  public Path socket() {
    return run.resolve("agent.sock");
  }

  /**
   * This host's keys.
   *
   * @throws KeysException if they have become unusable since the configuration was loaded
   */
  public Identity identity() throws KeysException {
    return Identity.load(keys);
  }
}
