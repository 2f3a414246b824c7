package dev.exile.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The command line's entry. */
@Command(
    name = "exile",
    description = "Moves running processes to another host while their clients stay connected.",
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT,
    versionProvider = Version.class,
    synopsisSubcommandLabel = "COMMAND",
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:done",
      "1:refused, rolled back or failed; the process runs where it ran before",
      "2:the command line, a configuration or an argument makes no sense",
      "3:in doubt; the message says how to find out"
    },
    subcommands = {
      MigrateCommand.class,
      RecallCommand.class,
      CheckCommand.class,
      PsCommand.class,
      ShowCommand.class,
      CancelCommand.class,
      KeysCommand.class,
      AgentCommand.class,
      CompletionCommand.class
    })
public final class Main implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--verbose",
      scope = ScopeType.INHERIT,
      description = "Show stack traces and the agent's status codes with errors.")
  private boolean verbose;

  private Main() {}

  /** Starts the command line and ends the JVM with its exit code. */
  public static void main(String[] args) {
    System.exit(commandLine().execute(args));
  }

  /** The whole command line, ready to execute; prints to the JVM's standard streams. */
  public static CommandLine commandLine() {
    Main main = new Main();
    Errors errors = new Errors(() -> main.verbose);
    return new CommandLine(main)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(errors)
        .setExecutionExceptionHandler(errors)
        .setExecutionStrategy(
            parsed -> {
              Logging.forCommandLine(main.verbose);
              return new CommandLine.RunLast().execute(parsed);
            });
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing");
  }
}
