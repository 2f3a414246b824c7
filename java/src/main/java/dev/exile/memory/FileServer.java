package dev.exile.memory;

import java.io.IOException;

/**
 * File server, the paper's section 1.4 (Sprite): in the freeze all pages that the process has
 * written are flushed to a store that both hosts reach, a directory; the process pages in from
 * there. The freeze grows with the resident set and ends with the store; each byte travels twice;
 * nothing is needed from home afterwards, and the store until the last page has been read.
 */
public final class FileServer implements Algorithm {
  /** Its name. */
  public static final String NAME = "file-server";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public boolean tracks() {
    return false;
  }

  @Override
  public boolean needsOnDemand() {
    return true;
  }

  @Override
  public boolean flushes() {
    return true;
  }

  @Override
  public void whileRunning(HomeMemory memory, Tree tree) {
    // What is flushed before the freeze would be flushed again.
  }

  @Override
  public void whileFrozen(HomeMemory memory) throws IOException, InterruptedException {
    memory.sendDue(Long.MAX_VALUE);
  }
}
