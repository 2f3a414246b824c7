package dev.exile.migration;

import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Steps of removing what is left of a migration. One that fails holds up no other, and is for the
 * caller to try again; the log tells of it once.
 */
final class Removals {
  private static final Logger LOG = LoggerFactory.getLogger(Removals.class);

  private final String id;
  private final Map<String, String> told = new HashMap<>();

  /** A step; done again, it does no harm. */
  @FunctionalInterface
  interface Step {
    void run() throws IOException;
  }

  Removals(String id) {
    this.id = id;
  }

  /** Runs a step, and tells whether it has succeeded. */
  boolean done(String what, Step step) {
    try {
      step.run();
      return true;
    } catch (IOException e) {
      if (!e.toString().equals(told.put(what, e.toString()))) {
        LOG.warn("{}: its {} cannot be removed yet: {}", id, what, e.toString());
      }
      return false;
    }
  }
}
