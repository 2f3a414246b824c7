package dev.exile.cli;

import dev.exile.rpc.control.ClusterView;
import dev.exile.rpc.control.WatchRequest;
import java.io.PrintWriter;
import java.util.HashSet;
import java.util.Iterator;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code exile ps}. */
@Command(
    name = "ps",
    description = "List every process that is or was moved, on whatever host.",
    footer = {
      "",
      "SOCKETS are connections and listeners at the move, SIGNALS those held in exile and those"
          + " forwarded since. RUNS ON tells the PID, too, where that host counts it differently."
    })
final class PsCommand implements Callable<Integer> {
  /** The cursor to the top left corner, everything from there on cleared. */
  private static final String REDRAW = "\033[H\033[J";

  @Spec private CommandSpec spec;

  @Option(
      names = {"-w", "--watch"},
      description =
          "Go on, and show every change: the table anew, or as JSON a line for each process or host"
              + " that has changed.")
  private boolean watch;

  @Mixin private OutputOption output;
  @Mixin private AgentOptions agent;

  @Override
  public Integer call() throws CliException {
    PrintWriter out = spec.commandLine().getOut();
    try (ControlClient client = agent.connect()) {
      Iterator<ClusterView> views =
          client.blocking().watch(WatchRequest.newBuilder().setOnce(!watch).build());
      Set<Object> told = new HashSet<>();
      boolean terminal = ProgressView.isTerminal(1);
      while (views.hasNext()) {
        ProcessesView view = ProcessesView.of(views.next());
        if (watch && output.json()) {
          told = tellNews(out, told, view);
        } else if (output.json()) {
          Json.print(out, view);
        } else {
          out.print(watch && terminal ? REDRAW : "");
          view.print(out);
        }
        if (out.checkError()) {
          break; // nobody reads any more
        }
      }
    }
    if (watch) {
      throw new CliException(ExitCode.FAILED, "the agent is being stopped");
    }
    return ExitCode.OK;
  }

  /** A line for each that was not told like this before; returns what is known now. */
  private static Set<Object> tellNews(PrintWriter out, Set<Object> told, ProcessesView view) {
    Set<Object> now = new HashSet<>(view.processes());
    now.addAll(view.unreachable());
    for (ProcessView process : view.processes()) {
      if (!told.contains(process)) {
        Json.print(out, process);
      }
    }
    for (ProcessesView.Host host : view.unreachable()) {
      if (!told.contains(host)) {
        Json.print(out, host);
      }
    }
    for (Object before : told) {
      if (before instanceof ProcessesView.Host host
          && view.unreachable().stream().noneMatch(h -> h.host().equals(host.host()))) {
        Json.print(out, new Back(host.host(), true));
      }
    }
    return now;
  }

  /** A host that answers again. */
  private record Back(String host, boolean reachable) {}
}
