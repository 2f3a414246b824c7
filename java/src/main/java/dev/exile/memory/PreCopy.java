package dev.exile.memory;

import java.io.IOException;

/**
 * Pre-copy, the paper's section 1.2 (V): memory is sent while the process runs, then again and
 * again what it has written meanwhile; the rest goes in the freeze. The freeze grows with what is
 * written during the last round, not with the resident set; what is written again and again travels
 * again and again; afterwards nothing is needed from home. The process pays a minor fault for the
 * first write to each page in each round.
 */
public final class PreCopy implements Algorithm {
  /** Its name. */
  public static final String NAME = "pre-copy";

  /** A round after which that much is left of what there was before it has not been worth it. */
  private static final double SHRINKING = 0.8;

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean needsTracker() {
    return true;
  }

  @Override
  public void whileRunning(HomeMemory memory, Tree tree) throws IOException, InterruptedException {
    rounds(memory, tree);
  }

  /** Until little is left, it stops shrinking, or the limit is reached. */
  static void rounds(HomeMemory memory, Tree tree) throws IOException, InterruptedException {
    Limits limits = memory.limits();
    long before = Long.MAX_VALUE;
    for (int round = 0; round < limits.rounds(); round++) {
      long sent = memory.round(tree.pids()).pages() * PageSet.PAGE;
      long enough =
          limits.dirtyThreshold() > 0
              ? limits.dirtyThreshold()
              : memory.bytesWithin(limits.maxFreezeMillis()) / 2;
      // What was written during this round took it as long as that during the next one will.
      if (sent <= enough || (round > 1 && sent > SHRINKING * before)) {
        return;
      }
      before = sent;
    }
  }

  @Override
  public void whileFrozen(HomeMemory memory) throws IOException, InterruptedException {
    memory.sendDue(Long.MAX_VALUE);
  }
}
