package dev.exile.migration;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;

/**
 * Where a migration stands at the destination, which follows home's decision.
 *
 * <pre>
 *  RECEIVING -> RESTORING -> RESTORED -> COMMITTED -> RUNNING -> ENDED
 *      |            |            |                    |  ^
 *      +------------+------------+--> ABORTING        v  |
 *                                        |         DEPARTING -> LEAVING -> LEFT
 *                                        v
 *                                     ABORTED
 * </pre>
 */
public enum DestinationState {
  /** Accepted, room is reserved, images arrive. */
  RECEIVING,
  /** CRIU restores in the cell. */
  RESTORING,
  /** The process stands frozen and complete, its sockets connected; home decides. */
  RESTORED,
  /** Home has decided for us: the process is being thawed. */
  COMMITTED,
  /** The process runs here. */
  RUNNING,
  /** The process has ended here. Final. */
  ENDED,
  /** It is about to move on: frozen, or on its way; home decides. */
  DEPARTING,
  /** It runs elsewhere; what is left here is being removed. */
  LEAVING,
  /** It has moved on. Final. */
  LEFT,
  /** What was made for it is being removed. */
  ABORTING,
  /** Nothing of it is left, and it never ran here. Final. */
  ABORTED;

  private static final Map<DestinationState, Set<DestinationState>> MOVES =
      new EnumMap<>(DestinationState.class);

  static {
    MOVES.put(RECEIVING, EnumSet.of(RESTORING, ABORTING));
    MOVES.put(RESTORING, EnumSet.of(RESTORED, ABORTING));
    MOVES.put(RESTORED, EnumSet.of(COMMITTED, ABORTING));
    MOVES.put(COMMITTED, EnumSet.of(RUNNING));
    MOVES.put(RUNNING, EnumSet.of(ENDED, DEPARTING));
    MOVES.put(DEPARTING, EnumSet.of(RUNNING, LEAVING));
    MOVES.put(LEAVING, EnumSet.of(LEFT));
    MOVES.put(ABORTING, EnumSet.of(ABORTED));
  }

  /** The states that may follow this one. */
  public Set<DestinationState> next() {
    return MOVES.getOrDefault(this, Set.of());
  }

  /** True where nothing follows. */
  public boolean isFinal() {
    return next().isEmpty();
  }

  /** True while home has not decided, as far as is known here. */
  public boolean undecided() {
    return this == RECEIVING || this == RESTORING || this == RESTORED;
  }
}
