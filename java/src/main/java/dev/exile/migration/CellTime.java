package dev.exile.migration;

import dev.exile.linux.Clocks;
import dev.exile.process.TimeOffsets;
import dev.exile.process.TimedWaits;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.WaitPlan;
import java.util.ArrayList;
import java.util.List;

/**
 * The time of a cell: its monotonic clocks go on as they did at home, as hosts count from different
 * moments; and waits that have an end end when they would have.
 *
 * @param monotonicShift nanoseconds by which the cell's CLOCK_MONOTONIC is ahead of this host's
 * @param boottimeShift the same of CLOCK_BOOTTIME
 */
record CellTime(long monotonicShift, long boottimeShift) {

  /**
   * At home: tells the destination what the process's clocks say, and which waits have an end.
   *
   * @param dumpedNanos when the dump had been made, on this agent's CLOCK_MONOTONIC
   */
  static void describe(
      RestoreRequest.Builder request, int root, List<TimedWaits.Wait> waits, long dumpedNanos) {
    TimeOffsets theirs = TimeOffsets.of(root);
    TimeOffsets ours = TimeOffsets.own();
    long ahead = theirs.monotonic() - ours.monotonic();
    for (TimedWaits.Wait wait : waits) {
      request.addWaits(
          WaitPlan.newBuilder()
              .setTid(wait.tid())
              .setNumber(wait.number())
              .setEndNanos(wait.endNanos() == 0 ? 0 : wait.endNanos() + ahead));
    }
    request
        .setDumpedNanos(dumpedNanos + ahead)
        .setBoottimeNanos(Clocks.boottime() + theirs.boottime() - ours.boottime())
        .setMonotonicNanos(Clocks.monotonic() + ahead);
  }

  /** At the destination, as the request arrives: the time on the way is lost from the clocks. */
  static CellTime arriving(RestoreRequest request) {
    return request.getMonotonicNanos() == 0
        ? new CellTime(0, 0) // from a home that does not tell
        : new CellTime(
            request.getMonotonicNanos() - Clocks.monotonic(),
            request.getBoottimeNanos() - Clocks.boottime());
  }

  /** How long ago the dump was made, in nanoseconds. */
  long sinceDump(RestoreRequest request) {
    return request.getDumpedNanos() == 0
        ? 0
        : Math.max(0, Clocks.monotonic() + monotonicShift - request.getDumpedNanos());
  }

  /** As the shim's job {@code cell} takes it. */
  List<String> options() {
    return List.of("--clocks", monotonicShift + ":" + boottimeShift);
  }

  /** The waits as the shim's job {@code settle} takes them: what is left of each, now. */
  List<String> left(RestoreRequest request) {
    long now = Clocks.monotonic() + monotonicShift;
    List<String> left = new ArrayList<>();
    for (WaitPlan wait : request.getWaitsList()) {
      left.add(
          "%d:%d:%d"
              .formatted(wait.getTid(), wait.getNumber(), Math.max(0, wait.getEndNanos() - now)));
    }
    return left;
  }
}
