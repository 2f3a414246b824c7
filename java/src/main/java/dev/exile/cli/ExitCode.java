package dev.exile.cli;

/** The exit codes of {@code exile}; listed in its README. */
public final class ExitCode {
  /** Done. */
  public static final int OK = 0;

  /** Refused, rolled back or failed; the process, if any, runs where it ran before. */
  public static final int FAILED = 1;

  /** The command line, a configuration or an argument makes no sense. */
  public static final int USAGE = 2;

  /** How it ended is not known here; the message says how to find out. */
  public static final int IN_DOUBT = 3;

  private ExitCode() {}
}
