package dev.exile.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import dev.exile.rpc.control.ClusterRow;

/**
 * A process that is or was moved, as {@code exile ps -o json} prints it. Names may be added, none
 * is ever renamed.
 *
 * @param id of its migration
 * @param state of the process, in the paper's model; empty where nobody who can be reached knows
 * @param stopped whether a signal has stopped it
 * @param pid at home
 * @param command its name
 * @param home where it comes from
 * @param runsOn where it runs; empty once it has ended
 * @param pidThere where it runs, as that host counts; 0 at home and where not known
 * @param to the destination of the migration
 * @param algorithm how the memory travels
 * @param migration the state machine's state
 * @param sockets those the process had when it was moved
 * @param signalsHeld sent in exile, delivered after it
 * @param signalsForwarded sent since
 * @param startedMillis when the migration began, wall clock, since 1970
 */
@JsonPropertyOrder({
  "id",
  "state",
  "stopped",
  "pid",
  "command",
  "home",
  "runsOn",
  "pidThere",
  "to",
  "algorithm",
  "migration",
  "sockets",
  "signalsHeld",
  "signalsForwarded",
  "startedMillis"
})
record ProcessView(
    String id,
    String state,
    boolean stopped,
    int pid,
    String command,
    String home,
    String runsOn,
    int pidThere,
    String to,
    String algorithm,
    String migration,
    Sockets sockets,
    long signalsHeld,
    long signalsForwarded,
    long startedMillis) {

  record Sockets(int established, int listening) {}

  static ProcessView of(ClusterRow row) {
    return new ProcessView(
        row.getId(),
        row.getState(),
        row.getStopped(),
        row.getPid(),
        row.getCommand(),
        row.getHome(),
        row.getRunsOn(),
        row.getPidThere(),
        row.getTo(),
        row.getAlgorithm(),
        row.getMigration(),
        new Sockets(row.getEstablished(), row.getListening()),
        row.getSignalsHeld(),
        row.getSignalsForwarded(),
        row.getStartedMillis());
  }
}
