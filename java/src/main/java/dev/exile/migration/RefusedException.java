package dev.exile.migration;

import dev.exile.negotiation.Refusal;
import java.util.List;
import java.util.stream.Collectors;

/** The move is refused before anything has been touched. */
public final class RefusedException extends Exception {
  private static final long serialVersionUID = 1;

  private final transient List<Refusal> refusals;

  /** With every reason. */
  public RefusedException(List<Refusal> refusals) {
    super(refusals.stream().map(Refusal::what).collect(Collectors.joining("; ")));
    this.refusals = List.copyOf(refusals);
  }

  /** Every reason. */
  public List<Refusal> refusals() {
    return refusals;
  }
}
