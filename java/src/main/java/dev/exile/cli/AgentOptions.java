package dev.exile.cli;

import java.nio.file.Path;
import picocli.CommandLine.Option;

/** How to reach this host's agent; the same on each command that asks it. */
final class AgentOptions {
  @Option(
      names = "--socket",
      paramLabel = "PATH",
      defaultValue = "${env:EXILE_SOCKET:-/run/exile/agent.sock}",
      description = "The agent's socket, $EXILE_SOCKET (default: /run/exile/agent.sock).")
  private Path socket;

  ControlClient connect() throws CliException {
    return ControlClient.connect(socket);
  }
}
