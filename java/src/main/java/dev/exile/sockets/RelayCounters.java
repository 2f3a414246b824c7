package dev.exile.sockets;

import java.util.concurrent.atomic.LongAdder;

/** The counters behind {@link RelayStats}, for any number of event loops. */
final class RelayCounters {
  final LongAdder opened = new LongAdder();
  final LongAdder accepted = new LongAdder();
  final LongAdder closed = new LongAdder();
  final LongAdder resets = new LongAdder();

  /** Bytes read from local sockets and given to the carrier. */
  final LongAdder toCarrier = new LongAdder();

  /** Bytes that came from the carrier. */
  final LongAdder fromCarrier = new LongAdder();

  long open() {
    return opened.sum() - closed.sum();
  }

  RelayStats home() {
    return stats(toCarrier.sum(), fromCarrier.sum());
  }

  RelayStats destination() {
    return stats(fromCarrier.sum(), toCarrier.sum());
  }

  private RelayStats stats(long toProcess, long fromProcess) {
    return new RelayStats(
        open(), opened.sum(), accepted.sum(), toProcess, fromProcess, resets.sum());
  }
}
