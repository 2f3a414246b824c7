package dev.exile.memory;

import java.io.Closeable;
import java.io.IOException;

/** Finds the pages of one process that were written since it last looked. One thread at a time. */
interface Tracker extends Closeable {
  /** Kinds of it, as operators write them; the best first. */
  enum Kind {
    /** Write protection by a userfaultfd, see {@link UserfaultTracker}. */
    USERFAULTFD("userfaultfd"),
    /** The kernel's own bits, see {@link SoftDirtyTracker}. */
    SOFT_DIRTY("soft-dirty");

    private final String word;

    Kind(String word) {
      this.word = word;
    }

    @Override
    public String toString() {
      return word;
    }
  }

  /** What was found of an area. */
  record Written(PageSet pages, boolean all) {}

  /**
   * Begins to look at all areas of the process. {@link #look} follows for each that it has from now
   * on, and {@link #end}.
   *
   * @return false: not now; what is to be found will be found by the next look, and no call follows
   */
  boolean begin() throws IOException;

  /**
   * Pages of the area that were written since the last call, and watches them from now on.
   *
   * @return all: the area is new, and nothing that was known of it before holds; every populated
   *     page is among the pages then
   */
  Written look(Area area) throws IOException;

  /** All areas were looked at, or that has failed. */
  void end() throws IOException;

  /** The same as {@link #look} of a process that stands frozen, for the last time. */
  Written lookAtLast(Area area) throws IOException;

  /** Leaves nothing behind in the process that would harm it. */
  @Override
  void close() throws IOException;
}
