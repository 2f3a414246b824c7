package dev.exile.cli;

import dev.exile.rpc.control.MigrateEvent;
import dev.exile.rpc.control.MigrationRef;
import dev.exile.rpc.control.Report;
import java.util.Iterator;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code exile recall}. */
@Command(
    name = "recall",
    description = {
      "Bring a process in exile home; its clients stay connected.",
      "May be asked for on any host that it has been on."
    })
final class RecallCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "ID", description = "The migration, as exile ps lists it.")
  private String id;

  @Mixin private OutputOption output;
  @Mixin private AgentOptions agent;

  @Override
  public Integer call() throws CliException {
    try (ControlClient client = agent.connect()) {
      Report report = recall(client);
      if (output.json()) {
        Json.print(spec.commandLine().getOut(), MigrationView.of(report));
      } else {
        Outcome.print(report, spec.commandLine().getOut(), spec.commandLine().getErr());
      }
      return Outcome.exitCode(report);
    }
  }

  private Report recall(ControlClient client) throws CliException {
    Iterator<MigrateEvent> events =
        client.blocking().recall(MigrationRef.newBuilder().setId(id).build());
    while (events.hasNext()) {
      MigrateEvent event = events.next();
      if (event.hasResult()) {
        return event.getResult();
      }
    }
    throw new CliException(ExitCode.IN_DOUBT, "in doubt: exile show " + id + " tells how it ended");
  }
}
