package dev.exile.cli;

import dev.exile.rpc.control.Report;
import java.io.PrintWriter;

/** A finished migration in words, and the exit code that it means. */
final class Outcome {
  private Outcome() {}

  /** The exit code of a finished migration; an outcome that this CLI does not know is in doubt. */
  static int exitCode(Report report) {
    return switch (report.getOutcome()) {
      case "migrated" -> ExitCode.OK;
      case "refused", "rolled-back", "exited" -> ExitCode.FAILED;
      default -> ExitCode.IN_DOUBT;
    };
  }

  /** Success goes to standard output, everything else to standard error. */
  static void print(Report report, PrintWriter out, PrintWriter err) {
    switch (report.getOutcome()) {
      case "migrated" -> out.println(migrated(report));
      case "refused" -> refused(report, err);
      case "rolled-back" ->
          err.println(
              "rolled back: "
                  + report.getReason()
                  + "; PID "
                  + report.getPid()
                  + " runs on at "
                  + report.getFrom());
      case "exited" ->
          err.println(
              "PID " + report.getPid() + " has ended before it moved: " + report.getReason());
      case "in-doubt" -> inDoubt(report, err);
      default -> err.println(report.getOutcome() + ": " + report.getReason());
    }
    out.flush();
    err.flush();
  }

  private static String migrated(Report report) {
    return String.format(
        "%s (PID %d) runs on %s: frozen %s, %s in %s, %s kept",
        report.getCommand(),
        report.getPid(),
        report.getTo(),
        Words.duration(report.getFrozenMillis()),
        Words.bytes(report.getBytesTransferred()),
        Words.duration(report.getTotalMillis()),
        Words.count(report.getSockets().getEstablished(), "connection"));
  }

  private static void refused(Report report, PrintWriter err) {
    if (report.getRefusalsCount() == 0) {
      err.println("refused: " + report.getReason());
    }
    RefusalView.of(report.getRefusalsList()).forEach(refusal -> err.println(refusal.line()));
  }

  /** The agent asks on until the destination answers; there is no cancel after COMMIT. */
  private static void inDoubt(Report report, PrintWriter err) {
    err.println("in doubt: " + report.getReason());
    err.println(
        "  the agent at its home keeps asking "
            + report.getTo()
            + ": bring the agent there back, and exile show "
            + report.getId()
            + " tells how it ended");
    err.println(
        "  if "
            + report.getTo()
            + " is lost for good: PID "
            + report.getPid()
            + " stays held at "
            + report.getFrom()
            + ", where nothing lets it run on by a guess: it may have run at "
            + report.getTo());
  }
}
