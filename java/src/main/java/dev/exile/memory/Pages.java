package dev.exile.memory;

/** What frames of memory mean on their way, see sockets.PageStream. */
public final class Pages {
  /** To the destination: content of a range. */
  public static final int DATA = 1;

  /** The same, compressed: one frame of Zstandard. */
  public static final int COMPRESSED = 2;

  /** To the destination: a range of zeros. */
  public static final int ZEROS = 3;

  /** To the destination, and back once all before it is dealt with; the start is a number. */
  public static final int FENCE = 4;

  /** To home: a range that is still missing. */
  public static final int MISSING = 5;

  /** To home: a thread waits for the page at the start. */
  public static final int WANTED = 6;

  /** To home: nothing is missing any more; the start is the number of faults that had to wait. */
  public static final int COMPLETE = 7;

  /** To the destination: home has no such memory, and never will. */
  public static final int LOST = 8;

  private Pages() {}
}
