package dev.exile.cli;

import dev.exile.rpc.control.CheckReply;
import dev.exile.rpc.control.MigrateRequest;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code exile check}. */
@Command(
    name = "check",
    description = {
      "Tell whether a process could move, without touching it.",
      "Every reason against it is listed at once, each with what to do."
    })
final class CheckCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;
  @Mixin private MigrationOptions migration;
  @Mixin private OutputOption output;
  @Mixin private AgentOptions agent;

  @Override
  public Integer call() throws CliException {
    try (ControlClient client = agent.connect()) {
      return check(client, migration.request(), output, spec);
    }
  }

  /** Negotiates and prints; {@code migrate --dry-run} is the same. */
  static int check(
      ControlClient client, MigrateRequest request, OutputOption output, CommandSpec spec) {
    CheckReply reply = client.blocking().check(request);
    CheckView view = CheckView.of(reply, request.getAlgorithm());
    PrintWriter out = spec.commandLine().getOut();
    if (output.json()) {
      Json.print(out, view);
    } else if (view.accepted()) {
      out.println(
          view.command()
              + " (PID "
              + view.pid()
              + ") can move from "
              + view.from()
              + " to "
              + view.to());
      out.flush();
    } else {
      PrintWriter err = spec.commandLine().getErr();
      view.refusals().forEach(refusal -> err.println(refusal.line()));
      err.flush();
    }
    return view.accepted() ? ExitCode.OK : ExitCode.FAILED;
  }
}
