package dev.exile.cli;

import picocli.CommandLine.Option;

/** Whether a person or a program reads standard output. */
final class OutputOption {
  enum Format {
    text,
    json
  }

  @Option(
      names = {"-o", "--output"},
      paramLabel = "FORMAT",
      defaultValue = "text",
      description = "Print ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Format format;

  boolean json() {
    return format == Format.json;
  }
}
