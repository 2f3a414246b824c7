package dev.exile.memory;

import java.io.IOException;
import java.util.concurrent.TimeUnit;

/**
 * Eager-dirty, the paper's variant of demand paging (MOSIX): what the process has written lately
 * goes in the freeze, the rest on demand. Where nothing can be tracked that is all that it has
 * written since it began, and pages of files are read from the destination's own. The freeze grows
 * with what is written; every byte travels once; home is needed until the last page has been
 * pushed, and seldom waited for: most of what a process touches next it has just written.
 */
public final class EagerDirty implements Algorithm {
  /** Its name. */
  public static final String NAME = "eager-dirty";

  /** Long enough for a program to show what it works on. */
  private static final long LATELY_MILLIS = 1_000;

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean needsOnDemand() {
    return true;
  }

  @Override
  public void whileRunning(HomeMemory memory, Tree tree) throws IOException, InterruptedException {
    memory.look(tree.pids());
    if (memory.tracks()) {
      TimeUnit.MILLISECONDS.sleep(LATELY_MILLIS);
    }
  }

  @Override
  public void whileFrozen(HomeMemory memory) throws IOException, InterruptedException {
    memory.sendDirty(Long.MAX_VALUE);
  }
}
