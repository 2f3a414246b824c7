package dev.exile.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import dev.exile.rpc.control.ClusterView;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/**
 * All processes that are or were moved, oldest first, and the hosts that do not answer.
 *
 * @param processes one per migration
 * @param unreachable hosts of which this is what they told last, if anything
 */
@JsonPropertyOrder({"processes", "unreachable"})
record ProcessesView(List<ProcessView> processes, List<Host> unreachable) {
  private static final List<String> HEAD =
      List.of(
          "ID",
          "PID",
          "COMMAND",
          "STATE",
          "HOME",
          "RUNS ON",
          "ALGORITHM",
          "MIGRATION",
          "SOCKETS",
          "SIGNALS");

  /** A host that does not answer, since when (wall clock, since 1970), and why. */
  @JsonPropertyOrder({"host", "sinceMillis", "reason"})
  record Host(String host, long sinceMillis, String reason) {}

  static ProcessesView of(ClusterView view) {
    return new ProcessesView(
        view.getRowsList().stream().map(ProcessView::of).toList(),
        view.getUnreachableList().stream()
            .map(host -> new Host(host.getHost(), host.getSinceMillis(), host.getReason()))
            .toList());
  }

  /** As a table, with the unreachable hosts at its foot. */
  void print(PrintWriter out) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(HEAD);
    processes.forEach(process -> rows.add(row(process)));
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
    for (Host host : unreachable) {
      out.printf(
          "%s cannot be reached since %s: %s%n",
          host.host(),
          Instant.ofEpochMilli(host.sinceMillis())
              .truncatedTo(java.time.temporal.ChronoUnit.SECONDS),
          host.reason());
    }
    out.flush();
  }

  private static List<String> row(ProcessView process) {
    String state = process.state().isEmpty() ? "-" : process.state();
    return List.of(
        process.id(),
        Integer.toString(process.pid()),
        process.command(),
        process.stopped() ? state + " (stopped)" : state,
        process.home(),
        runsOn(process),
        process.algorithm(),
        process.migration(),
        "%d + %d".formatted(process.sockets().established(), process.sockets().listening()),
        "%d + %d".formatted(process.signalsHeld(), process.signalsForwarded()));
  }

  private static String runsOn(ProcessView process) {
    if (process.runsOn().isEmpty()) {
      return "-";
    }
    return process.pidThere() == 0
        ? process.runsOn()
        : process.runsOn() + " (PID " + process.pidThere() + ")";
  }
}
