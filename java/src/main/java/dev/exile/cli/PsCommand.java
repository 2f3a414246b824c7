package dev.exile.cli;

import dev.exile.rpc.control.ListRequest;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code exile ps}. */
@Command(name = "ps", description = "List the migrations that this host's agent knows.")
final class PsCommand implements Callable<Integer> {
  private static final List<String> HEAD =
      List.of("ID", "ROLE", "PID", "COMMAND", "FROM", "TO", "STATE", "CONNS", "FROZEN");

  @Spec private CommandSpec spec;
  @Mixin private OutputOption output;
  @Mixin private AgentOptions agent;

  @Override
  public Integer call() throws CliException {
    try (ControlClient client = agent.connect()) {
      List<MigrationView> migrations =
          client.blocking().list(ListRequest.getDefaultInstance()).getMigrationsList().stream()
              .map(MigrationView::of)
              .toList();
      PrintWriter out = spec.commandLine().getOut();
      if (output.json()) {
        Json.print(out, migrations);
      } else {
        print(migrations, out);
      }
      return ExitCode.OK;
    }
  }

  private static void print(List<MigrationView> migrations, PrintWriter out) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(HEAD);
    migrations.forEach(m -> rows.add(row(m)));
    int[] widths = new int[HEAD.size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < widths.length; i++) {
        line.append(row.get(i)).append(" ".repeat(widths[i] - row.get(i).length() + 2));
      }
      out.println(line.toString().stripTrailing());
    }
    out.flush();
  }

  private static List<String> row(MigrationView m) {
    return List.of(
        m.id(),
        m.role(),
        Integer.toString(m.pid()),
        m.command(),
        m.from(),
        m.to(),
        m.state(),
        Integer.toString(m.sockets().established()),
        m.frozenMillis() == 0 ? "-" : Words.duration(m.frozenMillis()));
  }
}
