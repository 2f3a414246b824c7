package dev.exile.migration;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one place where a migration changes its state: the table is consulted, the journal written,
 * then the log. Both sides use it, each with its own states.
 */
final class Lifecycle<S extends Enum<S>> {
  private static final Logger LOG = LoggerFactory.getLogger("migration");

  private final Facts facts;
  private final Journal journal;
  private final Faults faults;
  private final Function<S, Set<S>> next;
  private S state;
  private long enteredNanos = System.nanoTime();

  /** A migration that stands in {@code state}, which is not recorded yet. */
  Lifecycle(Facts facts, S state, Function<S, Set<S>> next, Journal journal, Faults faults) {
    this.facts = facts;
    this.state = state;
    this.next = next;
    this.journal = journal;
    this.faults = faults;
    facts.state = state.name();
  }

  /** Records the first state. */
  void begin(String reason) throws IOException {
    faults.at(point(state()));
    synchronized (this) {
      facts.reason = reason;
      journal.save(facts);
    }
    LOG.info("{}: {} ({})", facts.id, state, reason);
  }

  /** Where the migration stands. */
  synchronized S state() {
    return state;
  }

  /**
   * Enters a state, once it is on disk.
   *
   * @throws IllegalStateException where the table forbids it: nothing has changed then
   * @throws IOException where the journal cannot be written: nothing has changed then
   */
  void enter(S to, String reason) throws IOException {
    S from;
    faults.at(point(to)); // outside of the lock: one that pauses is looked at meanwhile
    synchronized (this) {
      from = state;
      if (!next.apply(from).contains(to)) {
        throw new IllegalStateException(
            "%s cannot go from %s to %s (%s)".formatted(facts.id, from, to, reason));
      }
      String oldReason = facts.reason;
      Map<String, Long> oldPhases = facts.phaseMillis;
      facts.state = to.name();
      facts.reason = reason;
      long now = System.nanoTime();
      facts.phaseMillis = lasted(from, (now - enteredNanos) / 1_000_000);
      try {
        journal.save(facts);
      } catch (IOException e) {
        facts.state = from.name();
        facts.reason = oldReason;
        facts.phaseMillis = oldPhases;
        throw e;
      }
      enteredNanos = now;
      state = to;
    }
    LOG.info("{}: {} -> {} ({})", facts.id, from, to, reason);
  }

  /**
   * Enters a state even if the disk refuses to record it: what has happened has happened. The next
   * state that is recorded takes this one with it.
   */
  void force(S to, String reason) {
    try {
      enter(to, reason);
    } catch (IOException e) {
      LOG.error("{}: {} could not be recorded: {}", facts.id, to, e.toString());
      synchronized (this) {
        facts.state = to.name();
        facts.reason = reason;
        state = to;
      }
    }
  }

  private Map<String, Long> lasted(S from, long millis) {
    Map<String, Long> phases = new LinkedHashMap<>(facts.phaseMillis);
    phases.merge(from.name().toLowerCase(Locale.ROOT), millis, Long::sum);
    return phases;
  }

  private String point(S to) {
    String side = facts.role.equals("home") ? "home." : "dest.";
    return side + to.name().toLowerCase(Locale.ROOT);
  }
}
