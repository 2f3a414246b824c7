package dev.exile.agent;

import dev.exile.migration.DestinationState;
import dev.exile.migration.HomeState;
import dev.exile.migration.MigrationId;
import dev.exile.rpc.control.ClusterRow;
import dev.exile.rpc.peer.Row;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Puts together what a process's two hosts tell of it. Home knows how the migration stands, and
 * what has passed through it; the destination knows the process.
 */
final class ClusterRows {
  private ClusterRows() {}

  /** One row per migration, the oldest first; one that was refused has moved nothing. */
  static List<ClusterRow> merge(Iterable<Row> told) {
    Map<String, Row> home = new HashMap<>();
    Map<String, Row> there = new HashMap<>();
    for (Row row : told) {
      if (row.getAtHome()) {
        home.put(row.getId(), row);
      } else if (!hasLeft(row)) {
        there.put(row.getId(), row);
      }
    }
    List<ClusterRow> rows = new ArrayList<>();
    home.forEach((id, row) -> rows.add(merge(row, there.get(row.getLeg()))));
    latest(there.values())
        .forEach(
            (id, row) -> {
              if (!home.containsKey(id)) {
                rows.add(ofDestination(row));
              }
            });
    rows.removeIf(row -> row.getMigration().equals(HomeState.REFUSED.name()));
    rows.sort(
        Comparator.comparingLong(ClusterRow::getStartedMillis).thenComparing(ClusterRow::getId));
    return rows;
  }

  /** What a host tells that the process has moved on from. */
  private static boolean hasLeft(Row row) {
    return switch (DestinationState.valueOf(row.getMigration())) {
      case LEAVING, LEFT -> true;
      default -> false;
    };
  }

  /** Of each migration the leg that began last. */
  private static Map<String, Row> latest(Iterable<Row> rows) {
    Map<String, Row> latest = new HashMap<>();
    for (Row row : rows) {
      latest.merge(
          MigrationId.base(row.getId()),
          row,
          (one, other) -> one.getStartedMillis() > other.getStartedMillis() ? one : other);
    }
    return latest;
  }

  private static ClusterRow merge(Row home, Row there) {
    ClusterRow.Builder row = common(home);
    HomeState state = HomeState.valueOf(home.getMigration());
    boolean leg = !home.getLeg().equals(home.getId());
    // In doubt about a further leg, home has committed to the next host, and has not the process.
    switch (state == HomeState.IN_DOUBT && leg ? HomeState.FORWARDING : state) {
      case FORWARDING -> {
        row.setRunsOn(home.getTo());
        if (there != null) {
          row.setState(there.getState())
              .setStopped(there.getStopped())
              .setPidThere(there.getPidThere());
        }
      }
      case ENDED -> {}
      default ->
          row.setRunsOn(home.getFrom()).setState(home.getState()).setStopped(home.getStopped());
    }
    return row.build();
  }

  /** Home does not answer: what the destination knows is all there is. */
  private static ClusterRow ofDestination(Row there) {
    ClusterRow.Builder row = common(there);
    switch (DestinationState.valueOf(there.getMigration())) {
      case RUNNING, DEPARTING ->
          row.setRunsOn(there.getTo())
              .setState(there.getState())
              .setStopped(there.getStopped())
              .setPidThere(there.getPidThere());
      case ENDED -> {}
      default -> row.setRunsOn(there.getFrom()).setState(there.getState());
    }
    return row.build();
  }

  private static ClusterRow.Builder common(Row row) {
    return ClusterRow.newBuilder()
        .setId(MigrationId.base(row.getId()))
        .setCommand(row.getCommand())
        .setHome(row.getFrom())
        .setTo(row.getTo())
        .setPid(row.getPid())
        .setAlgorithm(row.getAlgorithm())
        .setMigration(row.getMigration())
        .setEstablished(row.getEstablished())
        .setListening(row.getListening())
        .setSignalsHeld(row.getSignalsHeld())
        .setSignalsForwarded(row.getSignalsForwarded())
        .setStartedMillis(row.getStartedMillis());
  }
}
