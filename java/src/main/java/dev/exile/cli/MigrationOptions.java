package dev.exile.cli;

import dev.exile.rpc.control.MigrateRequest;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** What to move and where to; the same for {@code migrate} and {@code check}. */
final class MigrationOptions {
  @Parameters(paramLabel = "PID|NAME", description = "The process, by PID or by its one name.")
  private String target;

  @Option(
      names = "--to",
      required = true,
      paramLabel = "HOST",
      description = "The destination, a peer in the agent's configuration.")
  private String to;

  @Option(
      names = "--algorithm",
      paramLabel = "ALGORITHM",
      defaultValue = "total-copy",
      description = "How the memory travels (default: ${DEFAULT-VALUE}).")
  private String algorithm;

  MigrateRequest request() {
    return MigrateRequest.newBuilder().setTarget(target).setTo(to).setAlgorithm(algorithm).build();
  }
}
