package dev.exile.cli;

import dev.exile.agent.Agent;
import dev.exile.agent.AgentConfig;
import dev.exile.agent.ConfigException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code exile agent}. */
@Command(
    name = "agent",
    description = {
      "Run this host's agent in the foreground, as root.",
      "SIGTERM stops it; a migration in flight is rolled back or finished first."
    })
final class AgentCommand implements Callable<Integer> {
  @Option(
      names = "--config",
      required = true,
      paramLabel = "FILE",
      description = "This host's configuration (YAML).")
  private Path config;

  @Override
  public Integer call() throws CliException {
    Logging.forAgent();
    try {
      return Agent.run(AgentConfig.load(config));
    } catch (ConfigException e) {
      // Starting it again would not help: systemd can tell this code from a failure.
      throw new CliException(ExitCode.USAGE, e.getMessage(), e);
    }
  }
}
