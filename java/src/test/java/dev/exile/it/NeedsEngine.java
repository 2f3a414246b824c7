package dev.exile.it;

import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * Tests that need a Docker engine of their own, which scripts/test starts. Another one that this
 * machine may run is nobody's business.
 */
final class NeedsEngine implements ExecutionCondition {
  /** Where scripts/test says that its engine listens. */
  static final String SOCKET = "EXILE_TEST_ENGINE";

  @Override
  public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
    if (System.getenv(SOCKET) != null) {
      return ConditionEvaluationResult.enabled("an engine runs at " + System.getenv(SOCKET));
    }
    String reason = "no Docker engine was started for the tests (scripts/test does, as root)";
    System.err.println("skipped " + context.getDisplayName() + ": " + reason);
    return ConditionEvaluationResult.disabled(reason);
  }
}
