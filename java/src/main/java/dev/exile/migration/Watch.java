package dev.exile.migration;

import java.io.IOException;
import java.util.Collection;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Looks after what has come to this host, see {@link DestinationMigration#watch}. */
final class Watch {
  private static final Logger LOG = LoggerFactory.getLogger(Watch.class);

  private final Executor threads;
  private final Set<DestinationMigration> busy = ConcurrentHashMap.newKeySet();

  /** What was last wrong with those of which something is. */
  private final Map<DestinationMigration, String> wrong = new ConcurrentHashMap<>();

  Watch(Executor threads) {
    this.threads = threads;
  }

  /**
   * Looks after each on a thread of its own: one home that does not answer holds up nobody else's.
   *
   * @throws java.util.concurrent.RejectedExecutionException where the agent is being stopped
   */
  void look(Collection<DestinationMigration> all) {
    wrong.keySet().retainAll(all);
    for (DestinationMigration migration : all) {
      if (busy.add(migration)) {
        threads.execute(
            () -> {
              try {
                lookAt(migration);
              } finally {
                busy.remove(migration);
              }
            });
      }
    }
  }

  private void lookAt(DestinationMigration migration) {
    try {
      migration.watch();
      wrong.remove(migration);
    } catch (PeerLink.Lost | PeerLink.Refused e) {
      // Home is away, or not so far yet: it is told again, ten times a second.
      LOG.debug("{}: {}", migration.facts().id, e.getMessage());
    } catch (IOException | RuntimeException e) {
      if (!e.toString().equals(wrong.put(migration, e.toString()))) {
        // Only the unexpected is to be found in the code.
        LOG.error(
            "{}: cannot be looked after, is tried again: {}",
            migration.facts().id,
            e.toString(),
            e instanceof RuntimeException ? e : null);
      }
    }
  }
}
