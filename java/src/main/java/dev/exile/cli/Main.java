package dev.exile.cli;

/** The command line's entry. */
public final class Main {
  private Main() {}

  /** Starts the command line. */
  public static void main(String[] args) {
    System.exit(2);
  }
}
