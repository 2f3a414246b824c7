package dev.exile.agent;

import java.util.List;

/** A configuration cannot be used. It carries every problem found, a line each for the operator. */
public final class ConfigException extends Exception {
  private final transient List<String> problems;

  /** With at least one problem. */
  public ConfigException(List<String> problems) {
    super(String.join("\n", problems));
    this.problems = List.copyOf(problems);
  }

  /** Every problem, missing keys first, then in the order of the file. */
  public List<String> problems() {
    return problems;
  }
}
