package dev.exile.memory;

import java.io.IOException;

/**
 * What is taken where nothing is said: pre-copy, and in the freeze what is still due, as far as it
 * fits the time that the operator allows; only what does not fit follows on demand. At the
 * destination the process runs at once on pages that are there already, and maps each as it touches
 * it. So the freeze depends on neither the resident set nor what is written, and mostly nothing is
 * needed from home afterwards.
 */
public final class Auto implements Algorithm {
  /** Its name. */
  public static final String NAME = "auto";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public void whileRunning(HomeMemory memory, Tree tree) throws IOException, InterruptedException {
    if (memory.tracks()) {
      PreCopy.rounds(memory, tree);
    } // else what is due in the freeze is all there is, as in total-copy
  }

  @Override
  public void whileFrozen(HomeMemory memory) throws IOException, InterruptedException {
    long fits = memory.bytesWithin(memory.limits().maxFreezeMillis());
    memory.sendDue(memory.tracks() && memory.mayLeavePages() ? fits : Long.MAX_VALUE);
  }
}
