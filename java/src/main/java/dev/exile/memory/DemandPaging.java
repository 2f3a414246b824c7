package dev.exile.memory;

import java.io.IOException;
import java.util.concurrent.TimeUnit;

/**
 * Demand paging, the paper's section 1.3 (Accent): the process runs again at once, and gets its
 * pages from home as it touches them; the others are pushed meanwhile, so that the dependence ends
 * soon. Along go, in CRIU's images, the pages around the instruction pointers and the stacks' tops;
 * and what was written during the last moments before the freeze. The freeze depends on neither the
 * resident set nor what is written; every byte travels once; home is needed until the last page has
 * been pushed, and the process waits a round trip for each page that it touches before that.
 */
public final class DemandPaging implements Algorithm {
  /** Its name. */
  public static final String NAME = "demand-paging";

  private static final long WARM_MILLIS = 50;

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
      TimeUnit.MILLISECONDS.sleep(WARM_MILLIS);
    }
  }

  @Override
  public void whileFrozen(HomeMemory memory) throws IOException, InterruptedException {
    memory.sendDirty(memory.bytesWithin(memory.limits().maxFreezeMillis()));
  }
}
