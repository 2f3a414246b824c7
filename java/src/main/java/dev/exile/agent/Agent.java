package dev.exile.agent;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The daemon. */
public final class Agent {
  private static final Logger log = LoggerFactory.getLogger(Agent.class);

  private Agent() {}

  /**
   * Runs the agent until it is told to stop.
   *
   * @return its exit code
   */
  public static int run(AgentConfig config) {
    log.error("the agent of {} is not built yet", config.name());
    return 1;
  }
}
