package dev.exile.cli;

import dev.exile.rpc.control.MigrationRef;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code exile show}. */
@Command(name = "show", description = "Show one migration in full.")
final class ShowCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "ID", description = "The migration, as exile ps lists it.")
  private String id;

  @Mixin private OutputOption output;
  @Mixin private AgentOptions agent;

  @Override
  public Integer call() throws CliException {
    try (ControlClient client = agent.connect()) {
      MigrationView view =
          MigrationView.of(client.blocking().show(MigrationRef.newBuilder().setId(id).build()));
      PrintWriter out = spec.commandLine().getOut();
      if (output.json()) {
        Json.print(out, view);
      } else {
        print(view, out);
      }
      return ExitCode.OK;
    }
  }

  private static void print(MigrationView view, PrintWriter out) {
    line(out, "id", view.id());
    line(out, "process", view.command() + " (PID " + view.pid() + ")");
    List<String> way = view.way().isEmpty() ? List.of(view.from(), view.to()) : view.way();
    line(out, "way", String.join(" -> ", way) + ", this host is " + view.role());
    line(out, "algorithm", view.algorithm());
    line(out, "started", Instant.ofEpochMilli(view.startedMillis()).toString());
    line(out, "state", view.state());
    line(out, "outcome", view.outcome().isEmpty() ? "goes on" : view.outcome());
    if (!view.reason().isEmpty()) {
      line(out, "reason", view.reason());
    }
    line(out, "frozen", Words.duration(view.frozenMillis()));
    line(out, "total", Words.duration(view.totalMillis()));
    line(out, "transferred", Words.bytes(view.bytesTransferred()));
    line(
        out,
        "sockets",
        view.sockets().established()
            + " established, "
            + view.sockets().listening()
            + " listening; taken in %.1f ms, reconnected in %.1f ms"
                .formatted(view.sockets().takeMillis(), view.sockets().reconnectMillis()));
    if (!view.way().isEmpty()) {
      line(out, "held", view.held() + " connections hold " + view.from());
    }
    if (view.felt().connections() > 0) {
      line(out, "clients", view.felt().line());
      view.felt().worst().forEach(one -> line(out, "client", one.line()));
    }
    view.signals()
        .forEach(
            s ->
                line(
                    out,
                    "signal",
                    "%s (%d): %d held, %d forwarded"
                        .formatted(s.name(), s.number(), s.held(), s.forwarded())));
    int number = 0;
    for (MigrationView.Round round : view.rounds()) {
      number++;
      line(
          out,
          "round",
          "%d: %d pages, %s sent in %s; %d pages written meanwhile"
              .formatted(
                  number,
                  round.pages(),
                  Words.bytes(round.bytes()),
                  Words.duration(round.millis()),
                  round.dirtyPages()));
    }
    if (view.missingBytes() > 0) {
      line(out, "missing", Words.bytes(view.missingBytes()) + " at the resume, " + late(view));
    }
    if (!view.note().isEmpty()) {
      line(out, "note", view.note());
    }
    view.phases().forEach(p -> line(out, "phase", p.name() + " " + Words.duration(p.millis())));
    view.refusals().forEach(refusal -> out.println(refusal.line()));
    out.flush();
  }

  private static String late(MigrationView view) {
    return view.dependsOnHomeMillis() < 0
        ? "some of it still is: it waits for " + view.from() + " where it touches that"
        : "all there %s later; %d touches waited"
            .formatted(Words.duration(view.dependsOnHomeMillis()), view.faults());
  }

  private static void line(PrintWriter out, String name, String value) {
    out.printf("%-12s %s%n", name, value);
  }
}
