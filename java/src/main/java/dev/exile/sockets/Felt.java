package dev.exile.sockets;

import java.util.Collection;
import java.util.Comparator;
import java.util.List;

/**
 * What the clients felt of a move, as far as home can tell: from the moment that the first byte of
 * a client arrived in exile (at the freeze, where it lay unread then, or had not been answered), or
 * that it connected, until the first byte went back to it; or until the process had its bytes,
 * where no answer came within a second of that. The way from and to the client is not in it.
 *
 * @param connections how many there were: established at the freeze, or made in exile
 * @param waited how many of their clients waited
 * @param medianMillis of those that waited; 0 for none
 * @param p99Millis of those that waited, the wait that 99 of 100 did not exceed
 * @param worstMillis of those that waited
 * @param resets how many have been reset since
 * @param worst the connections that waited longest, at most 100, then others
 */
public record Felt(
    int connections,
    int waited,
    double medianMillis,
    double p99Millis,
    double worstMillis,
    int resets,
    List<Connection> worst) {
  /** Of a move without connections, or before one. */
  public static final Felt NOTHING = new Felt(0, 0, 0, 0, 0, 0, List.of());

  private static final int MOST = 100;

  /**
   * One connection.
   *
   * @param client its other end, address and port
   * @param bytesWaited bytes that were unread when the process ran again
   * @param waitMillis how long the client waited, 0 if it did not
   * @param bytesRelayed bytes relayed since, both ways
   * @param reset whether it has been reset since
   */
  public record Connection(
      String client, long bytesWaited, double waitMillis, long bytesRelayed, boolean reset) {}

  static Felt of(Collection<FeltConnection> all, long now) {
    List<Connection> sorted =
        all.stream()
            .map(connection -> connection.snapshot(now))
            .sorted(Comparator.comparingDouble(Connection::waitMillis).reversed())
            .toList();
    List<Connection> waited = sorted.stream().filter(c -> c.waitMillis() > 0).toList();
    return new Felt(
        sorted.size(),
        waited.size(),
        quantile(waited, 0.5),
        quantile(waited, 0.99),
        quantile(waited, 1),
        (int) sorted.stream().filter(Connection::reset).count(),
        List.copyOf(sorted.subList(0, Math.min(MOST, sorted.size()))));
  }

  /** Of waits that are sorted, the longest first: the smallest that so many do not exceed. */
  private static double quantile(List<Connection> waited, double part) {
    if (waited.isEmpty()) {
      return 0;
    }
    int rank = (int) Math.ceil(part * waited.size());
    return waited.get(waited.size() - rank).waitMillis();
  }

  static double millis(long nanos) {
    return Math.round(nanos / 1e3) / 1e3;
  }
}
