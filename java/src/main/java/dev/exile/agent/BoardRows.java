package dev.exile.agent;

import dev.exile.migration.DestinationState;
import dev.exile.migration.Facts;
import dev.exile.migration.HomeState;
import dev.exile.process.Proc;
import dev.exile.process.ProcessState;
import dev.exile.rpc.peer.Row;

/** One host's knowledge of a migration's process, as it tells it to the others. */
final class BoardRows {
  private BoardRows() {}

  static Row of(Facts facts) {
    boolean home = facts.role.equals("home");
    Row.Builder row =
        Row.newBuilder()
            .setId(facts.id)
            .setAtHome(home)
            .setStartedMillis(facts.startedMillis)
            .setCommand(facts.command)
            .setPid(facts.pid)
            .setFrom(facts.from)
            .setTo(facts.to)
            .setAlgorithm(facts.algorithm)
            .setMigration(facts.state)
            .setEstablished(facts.established)
            .setListening(facts.listening)
            .setSignalsHeld(sum(facts.signalsHeld.values()))
            .setSignalsForwarded(sum(facts.signalsForwarded.values()));
    if (facts.processState != null) {
      row.setState(facts.processState.name());
    } else if (home ? runsAtHome(facts) : runsHere(facts)) {
      look(row, home ? facts.pid : facts.rootHere);
    }
    if (home) {
      row.setLeg(facts.currentLeg());
    } else {
      row.setPidThere(facts.rootHere);
    }
    return row.build();
  }

  private static boolean runsAtHome(Facts facts) {
    return switch (HomeState.valueOf(facts.state)) {
      case NEGOTIATING, PREPARING, FREEZING -> true;
      default -> false; // frozen, elsewhere, or no concern of ours any more
    };
  }

  private static boolean runsHere(Facts facts) {
    return facts.rootHere != 0 && DestinationState.valueOf(facts.state) == DestinationState.RUNNING;
  }

  private static void look(Row.Builder row, int pid) {
    ProcessState.read(pid)
        .ifPresent(
            state ->
                row.setState(state.name())
                    .setStopped(
                        Proc.info(pid).filter(process -> process.state() == 'T').isPresent()));
  }

  private static long sum(Iterable<Long> counts) {
    long sum = 0;
    for (long count : counts) {
      sum += count;
    }
    return sum;
  }
}
