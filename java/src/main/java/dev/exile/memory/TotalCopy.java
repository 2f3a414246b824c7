package dev.exile.memory;

import java.io.IOException;

/**
 * Total-copy, the paper's section 1.1 (Demos/MP, Charlotte, Amoeba): the process stands still while
 * all of its memory is sent, and its pages are all there before it runs again. The freeze grows
 * with the resident set; every byte travels once; afterwards nothing of its memory is needed from
 * home.
 */
public final class TotalCopy implements Algorithm {
  /** Its name. */
  public static final String NAME = "total-copy";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean tracks() {
    return false;
  }

  @Override
  public boolean resumesAtOnce() {
    return false;
  }

  @Override
  public void whileRunning(HomeMemory memory, Tree tree) {
    // Nothing travels before the freeze: that is what tells this algorithm from the others.
  }

  @Override
  public void whileFrozen(HomeMemory memory) throws IOException, InterruptedException {
    memory.sendDue(Long.MAX_VALUE);
  }
}
