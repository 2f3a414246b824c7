package dev.exile.cli;

import dev.exile.rpc.control.Felt;
import java.util.List;

/**
 * What the clients of a process felt of its move.
 *
 * @param connections established at the freeze, or made in exile
 * @param waited how many of their clients waited; the following are of these
 * @param medianMillis the wait that half of them did not exceed
 * @param p99Millis the wait that 99 of 100 did not exceed
 * @param worstMillis the longest wait
 * @param resets how many connections have been reset since
 * @param worst those who waited longest, at most 100
 */
record FeltView(
    int connections,
    int waited,
    double medianMillis,
    double p99Millis,
    double worstMillis,
    int resets,
    List<Connection> worst) {

  /** One connection; its client by address and port. */
  record Connection(
      String client, long bytesWaited, double waitMillis, long bytesRelayed, boolean reset) {
    String line() {
      return "%s waited %.1f ms with %d bytes, %s relayed since%s"
          .formatted(
              client, waitMillis, bytesWaited, Words.bytes(bytesRelayed), reset ? ", reset" : "");
    }
  }

  static FeltView of(Felt felt) {
    return new FeltView(
        felt.getConnections(),
        felt.getWaited(),
        felt.getMedianMillis(),
        felt.getP99Millis(),
        felt.getWorstMillis(),
        felt.getResets(),
        felt.getWorstList().stream()
            .map(
                one ->
                    new Connection(
                        one.getClient(),
                        one.getBytesWaited(),
                        one.getWaitMillis(),
                        one.getBytesRelayed(),
                        one.getReset()))
            .toList());
  }

  String line() {
    return "%d of %d waited: median %.1f ms, p99 %.1f ms, worst %.1f ms; %d reset"
        .formatted(waited, connections, medianMillis, p99Millis, worstMillis, resets);
  }
}
