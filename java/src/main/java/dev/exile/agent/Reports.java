package dev.exile.agent;

import dev.exile.migration.DestinationState;
import dev.exile.migration.Facts;
import dev.exile.migration.HomeState;
import dev.exile.migration.MigrationId;
import dev.exile.negotiation.Refusal;
import dev.exile.rpc.control.FeltConnection;
import dev.exile.rpc.control.Phase;
import dev.exile.rpc.control.Report;
import dev.exile.rpc.control.Round;
import dev.exile.rpc.control.SignalCount;
import dev.exile.rpc.control.Sockets;
import dev.exile.rpc.peer.MoveReply;
import dev.exile.signals.SignalNames;
import dev.exile.sockets.Felt;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** Facts as operators see them. */
final class Reports {
  private Reports() {}

  static Report of(Facts facts) {
    Report.Builder report =
        Report.newBuilder()
            .setId(MigrationId.base(facts.id))
            .setPid(facts.pid)
            .setCommand(facts.command)
            .setFrom(facts.from)
            .setTo(facts.to)
            .setAlgorithm(facts.algorithm)
            .setOutcome(outcome(facts))
            .setState(facts.state)
            .setReason(facts.reason)
            .setFrozenMillis(facts.frozenMillis)
            .setTotalMillis(facts.totalMillis)
            .setBytesTransferred(facts.bytesTransferred)
            .setSockets(
                Sockets.newBuilder()
                    .setEstablished(facts.established)
                    .setListening(facts.listening)
                    .setTakeMillis(facts.takeMicros / 1000.0)
                    .setReconnectMillis(facts.reconnectMicros / 1000.0))
            .setRole(facts.role)
            .addAllWay(way(facts))
            .setStartedMillis(facts.startedMillis);
    facts
        .phases()
        .forEach(
            (name, millis) -> report.addPhases(Phase.newBuilder().setName(name).setMillis(millis)));
    Set<Integer> numbers = new TreeSet<>(facts.signalsHeld.keySet());
    numbers.addAll(facts.signalsForwarded.keySet());
    for (int number : numbers) {
      report.addSignals(
          SignalCount.newBuilder()
              .setNumber(number)
              .setName(SignalNames.of(number))
              .setHeld(facts.signalsHeld.getOrDefault(number, 0L))
              .setForwarded(facts.signalsForwarded.getOrDefault(number, 0L)));
    }
    facts.rounds.forEach(
        round ->
            report.addRounds(
                Round.newBuilder()
                    .setBytes(round.bytes())
                    .setPages(round.pages())
                    .setMillis(round.millis())
                    .setDirtyPages(round.dirtyPages())));
    report
        .setFaults(facts.faults)
        .setMissingBytes(facts.missingBytes)
        .setDependsOnHomeMillis(facts.dependsOnHome())
        .setNote(facts.note);
    report.setFelt(felt(facts.felt));
    report.addAllRefusals(refusals(facts.refusals));
    return report.build();
  }

  private static List<String> way(Facts facts) {
    if (!facts.role.equals("home")) {
      return List.of();
    }
    return facts.way.isEmpty() ? List.of(facts.from, facts.to) : facts.way;
  }

  /** A further leg, as home tells of it. */
  static Report of(MoveReply moved) {
    return Report.newBuilder()
        .setId(moved.getId())
        .setPid(moved.getPid())
        .setCommand(moved.getCommand())
        .setFrom(moved.getFrom())
        .setTo(moved.getTo())
        .setOutcome(moved.getOutcome())
        .setReason(moved.getReason())
        .setFrozenMillis(moved.getFrozenMillis())
        .setTotalMillis(moved.getTotalMillis())
        .setAlgorithm(moved.getAlgorithm())
        .setBytesTransferred(moved.getBytesTransferred())
        .setSockets(
            Sockets.newBuilder()
                .setEstablished(moved.getEstablished())
                .setReconnectMillis(moved.getReconnectMicros() / 1000.0))
        .addAllPhases(
            moved.getPhasesList().stream()
                .map(
                    phase ->
                        Phase.newBuilder()
                            .setName(phase.getName())
                            .setMillis(phase.getMillis())
                            .build())
                .toList())
        .addAllRefusals(
            refusals(
                moved.getRefusalsList().stream()
                    .map(reason -> new Refusal(reason.getWhat(), reason.getRemedy()))
                    .toList()))
        .build();
  }

  private static dev.exile.rpc.control.Felt felt(Felt felt) {
    return dev.exile.rpc.control.Felt.newBuilder()
        .setConnections(felt.connections())
        .setWaited(felt.waited())
        .setMedianMillis(felt.medianMillis())
        .setP99Millis(felt.p99Millis())
        .setWorstMillis(felt.worstMillis())
        .setResets(felt.resets())
        .addAllWorst(
            felt.worst().stream()
                .map(
                    one ->
                        FeltConnection.newBuilder()
                            .setClient(one.client())
                            .setBytesWaited(one.bytesWaited())
                            .setWaitMillis(one.waitMillis())
                            .setBytesRelayed(one.bytesRelayed())
                            .setReset(one.reset())
                            .build())
                .toList())
        .build();
  }

  static List<dev.exile.rpc.control.Refusal> refusals(Collection<Refusal> refusals) {
    return refusals.stream()
        .map(
            r ->
                dev.exile.rpc.control.Refusal.newBuilder()
                    .setWhat(r.what())
                    .setRemedy(r.remedy())
                    .build())
        .toList();
  }

  private static String outcome(Facts facts) {
    if (facts.role.equals("home")) {
      return switch (HomeState.valueOf(facts.state)) {
        case REFUSED -> "refused";
        case ROLLED_BACK -> facts.exited ? "exited" : "rolled-back";
        case FORWARDING, ENDED -> "migrated";
        case IN_DOUBT -> "in-doubt";
        default -> "";
      };
    }
    return switch (DestinationState.valueOf(facts.state)) {
      case RUNNING, DEPARTING, LEAVING, LEFT, ENDED -> "migrated";
      case ABORTED -> "rolled-back";
      default -> "";
    };
  }
}
