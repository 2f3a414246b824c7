package dev.exile.migration;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;

/**
 * Where a migration stands at home, which decides it.
 *
 * <pre>
 *  NEGOTIATING -> PREPARING -> FREEZING -> DUMPING -> TRANSFERRING -> RESTORING
 *    |    |           |           |           |            |             |  \
 *    |    +-----------+-----------+-----+-----+------------+-------------+   \
 *    v                                  v                                     v
 *  REFUSED             ROLLED_BACK <- ROLLING_BACK <- - - - - - - - - - -  COMMITTED
 *                                       ^                                   |     |
 *                                       : only where the destination        v     v
 *                                       : affirms that it never ran    IN_DOUBT -> FORWARDING -> ENDED
 * </pre>
 *
 * COMMITTED is the point of no return: before it every failure rolls back, after it the process
 * belongs to the destination. FORWARDING becomes IN_DOUBT where the host that a further leg leads
 * to does not answer after that leg's COMMIT.
 */
public enum HomeState {
  /** The destination is asked whether it can take the process; nothing has been touched. */
  NEGOTIATING,
  /** The destination, or home itself, has said no. Final. */
  REFUSED,
  /** Carriers and guard are made ready, memory rounds are run; the process runs on. */
  PREPARING,
  /** The tree is being frozen and its sockets taken: exile begins. */
  FREEZING,
  /** CRIU writes the images. */
  DUMPING,
  /** The images travel. */
  TRANSFERRING,
  /** The destination restores and connects the sockets. */
  RESTORING,
  /** On disk: the process belongs to the destination, which is being told. */
  COMMITTED,
  /** A move is committed, and its destination does not answer: it is asked until it does. */
  IN_DOUBT,
  /** The process runs at the destination; home relays. */
  FORWARDING,
  /** The process has ended at the destination. Final. */
  ENDED,
  /** The process is given back its freedom at home, what was left is removed. */
  ROLLING_BACK,
  /** The process runs on at home as if nothing had happened. Final. */
  ROLLED_BACK;

  private static final Map<HomeState, Set<HomeState>> MOVES = new EnumMap<>(HomeState.class);

  static {
    MOVES.put(NEGOTIATING, EnumSet.of(REFUSED, PREPARING, ROLLING_BACK));
    MOVES.put(PREPARING, EnumSet.of(FREEZING, ROLLING_BACK));
    MOVES.put(FREEZING, EnumSet.of(DUMPING, ROLLING_BACK));
    MOVES.put(DUMPING, EnumSet.of(TRANSFERRING, ROLLING_BACK));
    MOVES.put(TRANSFERRING, EnumSet.of(RESTORING, ROLLING_BACK));
    MOVES.put(RESTORING, EnumSet.of(COMMITTED, ROLLING_BACK));
    MOVES.put(COMMITTED, EnumSet.of(FORWARDING, IN_DOUBT, ROLLING_BACK));
    MOVES.put(IN_DOUBT, EnumSet.of(FORWARDING, ROLLING_BACK));
    MOVES.put(FORWARDING, EnumSet.of(ENDED, IN_DOUBT)); // of a further leg
    MOVES.put(ROLLING_BACK, EnumSet.of(ROLLED_BACK));
  }

  /** The states that may follow this one. */
  public Set<HomeState> next() {
    return MOVES.getOrDefault(this, Set.of());
  }

  /** True where nothing follows. */
  public boolean isFinal() {
    return next().isEmpty();
  }

  /** True before the point of no return, while the migration can still be cancelled. */
  public boolean beforeCommit() {
    return switch (this) {
      case NEGOTIATING, PREPARING, FREEZING, DUMPING, TRANSFERRING, RESTORING -> true;
      case REFUSED, COMMITTED, IN_DOUBT, FORWARDING, ENDED, ROLLING_BACK, ROLLED_BACK -> false;
    };
  }
}
