package dev.exile.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code exile keys}: holds its sub-commands together. */
@Command(
    name = "keys",
    description = "Make the keys by which agents know each other.",
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {KeysInitCommand.class, KeysIssueCommand.class})
final class KeysCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "a command is missing: init or issue");
  }
}
