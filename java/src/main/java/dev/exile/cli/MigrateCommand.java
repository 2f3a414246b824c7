package dev.exile.cli;

import dev.exile.rpc.control.MigrateRequest;
import dev.exile.rpc.control.Report;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code exile migrate}. */
@Command(
    name = "migrate",
    description = {
      "Move a running process to another host; its clients stay connected.",
      "Ctrl-C cancels: the process then runs on where it is. A second Ctrl-C leaves at once."
    })
final class MigrateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private MigrationOptions migration;

  @Option(names = "--dry-run", description = "Negotiate only, as exile check does.")
  private boolean dryRun;

  @Mixin private OutputOption output;
  @Mixin private AgentOptions agent;

  @Override
  public Integer call() throws CliException, InterruptedException {
    MigrateRequest request = migration.request();
    PrintWriter out = spec.commandLine().getOut();
    PrintWriter err = spec.commandLine().getErr();
    try (ControlClient client = agent.connect()) {
      if (dryRun) {
        return CheckCommand.check(client, request, output, spec);
      }
      Report report = migrate(client, request, err);
      if (output.json()) {
        Json.print(out, MigrationView.of(report));
      } else {
        Outcome.print(report, out, err);
      }
      return Outcome.exitCode(report);
    }
  }

  private Report migrate(ControlClient client, MigrateRequest request, PrintWriter err)
      throws CliException, InterruptedException {
    try (ProgressView view = ProgressView.forStandardError(output.json(), err)) {
      MigrateSession session = new MigrateSession(client, view);
      Interrupts interrupts = new Interrupts(session::interrupt);
      try {
        return session.run(request);
      } finally {
        interrupts.close();
      }
    }
  }
}
