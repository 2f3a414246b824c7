package dev.exile.streams;

/**
 * An end of something that stays at home and that a process tree uses: a pipe, a FIFO or a file.
 *
 * @param name names it within the migration, on both hosts
 * @param kind what it is
 * @param reads whether the tree reads from it; else it writes
 * @param pid a process of the tree that holds it
 * @param fd its descriptor there
 * @param key by which CRIU's {@code --inherit-fd} knows it
 */
public record StreamEnd(String name, Kind kind, boolean reads, int pid, int fd, String key) {
  /** What stays at home. */
  public enum Kind {
    /** A pipe whose other end is outside of the tree. */
    PIPE,
    /** The same of a named one. */
    FIFO,
    /** A file that is only written to, and that the destination lacks. */
    FILE
  }
}
