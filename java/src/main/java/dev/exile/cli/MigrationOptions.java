package dev.exile.cli;

import dev.exile.rpc.control.MigrateRequest;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** What to move and where to; the same for {@code migrate} and {@code check}. */
final class MigrationOptions {
  @Parameters(paramLabel = "PID|NAME", description = "The process, by PID or by its one name.")
  private String target;

  @Option(
      names = "--to",
      required = true,
      paramLabel = "HOST",
      description = "The destination, a peer in the agent's configuration.")
  private String to;

  @Option(
      names = "--algorithm",
      paramLabel = "ALGORITHM",
      defaultValue = "auto",
      description =
          "How the memory travels: auto, total-copy, pre-copy, demand-paging, eager-dirty,"
              + " file-server (default: ${DEFAULT-VALUE}).")
  private String algorithm;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      description = "At most so many passes over memory while the process runs (default: 8).")
  private int rounds;

  @Option(
      names = "--dirty-threshold",
      paramLabel = "SIZE",
      converter = Size.Converter.class,
      description =
          "No further pass where less was written during the last one, such as 16M (default: what"
              + " goes in half of --max-freeze).")
  private Size dirtyThreshold = Size.NONE;

  @Option(
      names = "--max-freeze",
      paramLabel = "MILLIS",
      description =
          "How long memory may be sent in the freeze; what does not fit follows on demand"
              + " (default: 100).")
  private int maxFreeze;

  @Option(
      names = "--bandwidth",
      paramLabel = "SIZE",
      converter = Size.Converter.class,
      description = "At most so many bytes of memory a second, such as 50M (default: no limit).")
  private Size bandwidth = Size.NONE;

  @Option(
      names = "--tracker",
      paramLabel = "TRACKER",
      description =
          "How to find what the process writes: userfaultfd, soft-dirty (default: the first that"
              + " works).")
  private String tracker = "";

  @Option(
      names = "--store",
      paramLabel = "DIR",
      description = "A directory that both hosts reach, for --algorithm file-server.")
  private String store = "";

  @Spec private CommandSpec spec;

  MigrateRequest request() {
    require("--rounds", rounds);
    require("--max-freeze", maxFreeze);
    if (algorithm.equals("file-server") && !store.startsWith("/")) {
      throw new ParameterException(
          spec.commandLine(),
          "file-server needs --store with the absolute path of a directory that both hosts reach,"
              + " not '%s'".formatted(store));
    }
    return MigrateRequest.newBuilder()
        .setTarget(target)
        .setTo(to)
        .setAlgorithm(algorithm)
        .setRounds(rounds)
        .setDirtyThreshold(dirtyThreshold.bytes())
        .setMaxFreezeMillis(maxFreeze)
        .setBytesPerSecond(bandwidth.bytes())
        .setTracker(tracker)
        .setStore(store)
        .build();
  }

  private void require(String option, int value) {
    if (spec.commandLine().getParseResult().hasMatchedOption(option) && value < 1) {
      throw new ParameterException(
          spec.commandLine(), "%s is %d, it must be at least 1".formatted(option, value));
    }
  }
}
