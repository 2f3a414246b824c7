package dev.exile.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import dev.exile.rpc.control.Report;
import java.util.List;

/**
 * A migration as {@code -o json} prints it. Names may be added, none is ever renamed.
 *
 * @param id names the migration on both hosts
 * @param pid at home, the root of its tree
 * @param command its name
 * @param from the home
 * @param to the destination
 * @param algorithm how the memory travels
 * @param outcome migrated, refused, rolled-back, exited or in-doubt; empty while it goes on
 * @param reason why, where it did not end as migrated
 * @param frozenMillis from freeze to resume
 * @param totalMillis from request to end
 * @param bytesTransferred images and pages sent to the destination
 * @param phases in order
 * @param sockets those the process had
 * @param refusals every reason for a refusal
 * @param role home or destination: this agent's part
 * @param state of the state machine
 * @param startedMillis wall clock, since 1970
 * @param signals held in exile and forwarded since, by number; known at home only
 * @param felt what the clients felt of the move; known at home only
 * @param way the hosts that it has been on, home first; known at home only
 * @param held connections that hold home: they are relayed there; known at home only
 * @param rounds passes over memory while the process ran; known at home only
 * @param faults touches of pages that had to wait for them
 * @param dependsOnHomeMillis from the resume until the last page had come; -1 before that
 * @param missingBytes of its memory that had not been sent at the resume
 * @param note what went otherwise than asked for
 */
@JsonPropertyOrder({
  "id",
  "pid",
  "command",
  "from",
  "to",
  "algorithm",
  "outcome",
  "reason",
  "frozenMillis",
  "totalMillis",
  "bytesTransferred",
  "phases",
  "sockets",
  "refusals",
  "role",
  "state",
  "startedMillis",
  "signals",
  "felt",
  "way",
  "held",
  "rounds",
  "faults",
  "dependsOnHomeMillis",
  "missingBytes",
  "note"
})
record MigrationView(
    String id,
    int pid,
    String command,
    String from,
    String to,
    String algorithm,
    String outcome,
    String reason,
    long frozenMillis,
    long totalMillis,
    long bytesTransferred,
    List<Phase> phases,
    Sockets sockets,
    List<RefusalView> refusals,
    String role,
    String state,
    long startedMillis,
    List<SignalCount> signals,
    FeltView felt,
    List<String> way,
    int held,
    List<Round> rounds,
    long faults,
    long dependsOnHomeMillis,
    long missingBytes,
    String note) {
  record Round(long bytes, long pages, long millis, long dirtyPages) {}

  record Phase(String name, long millis) {}

  record SignalCount(int number, String name, long held, long forwarded) {}

  record Sockets(int established, int listening, double takeMillis, double reconnectMillis) {}

  static MigrationView of(Report report) {
    return new MigrationView(
        report.getId(),
        report.getPid(),
        report.getCommand(),
        report.getFrom(),
        report.getTo(),
        report.getAlgorithm(),
        report.getOutcome(),
        report.getReason(),
        report.getFrozenMillis(),
        report.getTotalMillis(),
        report.getBytesTransferred(),
        report.getPhasesList().stream().map(p -> new Phase(p.getName(), p.getMillis())).toList(),
        new Sockets(
            report.getSockets().getEstablished(),
            report.getSockets().getListening(),
            report.getSockets().getTakeMillis(),
            report.getSockets().getReconnectMillis()),
        RefusalView.of(report.getRefusalsList()),
        report.getRole(),
        report.getState(),
        report.getStartedMillis(),
        report.getSignalsList().stream()
            .map(s -> new SignalCount(s.getNumber(), s.getName(), s.getHeld(), s.getForwarded()))
            .toList(),
        FeltView.of(report.getFelt()),
        List.copyOf(report.getWayList()),
        report.getHeld(),
        report.getRoundsList().stream()
            .map(r -> new Round(r.getBytes(), r.getPages(), r.getMillis(), r.getDirtyPages()))
            .toList(),
        report.getFaults(),
        report.getDependsOnHomeMillis(),
        report.getMissingBytes(),
        report.getNote());
  }
}
