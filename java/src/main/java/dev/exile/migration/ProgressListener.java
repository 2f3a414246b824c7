package dev.exile.migration;

import dev.exile.memory.Progress;

/** Whoever looks on while a migration runs. A listener that fails never fails the migration. */
public interface ProgressListener {
  /** Nobody looks on. */
  ProgressListener NONE = new ProgressListener() {};

  /** A phase has begun; its name is the state's, in lower case. */
  default void phase(String id, String name) {}

  /** How its memory travels. */
  default void memory(String id, Progress progress) {}

  /** The destination does not answer after COMMIT; home goes on asking it. */
  default void inDoubt(HomeMigration migration) {}

  /** The migration has come to its end, or to FORWARDING. */
  default void done(HomeMigration migration) {}
}
