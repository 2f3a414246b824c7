package dev.exile.cli;

import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.function.BooleanSupplier;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** Turns what goes wrong into lines on standard error and an exit code, in one place. */
final class Errors implements IParameterExceptionHandler, IExecutionExceptionHandler {
  private final BooleanSupplier verbose;

  Errors(BooleanSupplier verbose) {
    this.verbose = verbose;
  }

  @Override
  public int handleParseException(ParameterException e, String[] args) {
    CommandLine command = e.getCommandLine();
    String what = e.getMessage().lines().findFirst().orElse("cannot read the command line").strip();
    // picocli starts with a capital; ours are clauses after "exile:".
    String clause = what.substring(0, 1).toLowerCase(Locale.ROOT) + what.substring(1);
    PrintWriter err = command.getErr();
    err.println(
        "exile: " + clause + "; see " + command.getCommandSpec().qualifiedName() + " --help");
    trace(err, e);
    return ExitCode.USAGE;
  }

  @Override
  public int handleExecutionException(Exception e, CommandLine command, ParseResult parsed) {
    PrintWriter err = command.getErr();
    int code = ExitCode.FAILED;
    if (e instanceof CliException known) {
      known.getMessage().lines().forEach(line -> err.println("exile: " + line));
      code = known.exitCode();
    } else if (e instanceof StatusRuntimeException status) {
      err.println("exile: " + describe(status));
      code = exitCode(status.getStatus());
    } else {
      err.println("exile: " + e + (verbose.getAsBoolean() ? "" : "; --verbose shows where"));
    }
    trace(err, e);
    return code;
  }

  /** The agent's own words; where it had none, the status. */
  static String describe(StatusRuntimeException e) {
    String description = e.getStatus().getDescription();
    if (e.getStatus().getCode() == Status.Code.UNAVAILABLE) {
      return "the connection to the agent broke: " + description;
    }
    return description != null
        ? description
        : "the agent failed with "
            + e.getStatus().getCode()
            + "; its log (journalctl -u exile-agent) says why";
  }

  static int exitCode(Status status) {
    return status.getCode() == Status.Code.INVALID_ARGUMENT ? ExitCode.USAGE : ExitCode.FAILED;
  }

  private void trace(PrintWriter err, Exception e) {
    if (verbose.getAsBoolean()) {
      e.printStackTrace(err); // a gRPC status tells its code here
    }
    err.flush();
  }
}
