package dev.exile.cli;

import dev.exile.rpc.control.CancelReply;
import dev.exile.rpc.control.MigrationRef;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code exile cancel}. */
@Command(
    name = "cancel",
    description = "Cancel a migration that goes on; the process runs on at home.")
final class CancelCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "ID", description = "The migration, as exile ps lists it.")
  private String id;

  @Mixin private OutputOption output;
  @Mixin private AgentOptions agent;

  @Override
  public Integer call() throws CliException {
    try (ControlClient client = agent.connect()) {
      CancelReply reply = client.blocking().cancel(MigrationRef.newBuilder().setId(id).build());
      if (output.json()) {
        Json.print(
            spec.commandLine().getOut(),
            new CancelView(id, reply.getCancelled(), reply.getMessage()));
      } else if (reply.getCancelled()) {
        spec.commandLine().getOut().println(reply.getMessage());
        spec.commandLine().getOut().flush();
      } else {
        throw new CliException(ExitCode.FAILED, reply.getMessage());
      }
      return reply.getCancelled() ? ExitCode.OK : ExitCode.FAILED;
    }
  }
}
