package dev.exile.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.exile.migration.HomeState;
import dev.exile.rpc.control.ClusterRow;
import dev.exile.rpc.peer.Row;
import java.util.List;
import org.junit.jupiter.api.Test;

class ClusterRowsTest {
  private static Row home(String leg, String to) {
    return Row.newBuilder()
        .setId("m")
        .setAtHome(true)
        .setFrom("a")
        .setTo(to)
        .setLeg(leg)
        .setMigration(HomeState.IN_DOUBT.name())
        .setState("EXILE")
        .build();
  }

  private static ClusterRow merged(Row home) {
    List<ClusterRow> rows = ClusterRows.merge(List.of(home));
    assertEquals(1, rows.size());
    return rows.get(0);
  }

  @Test
  void aFirstMoveInDoubtIsShownAtHomeWhereTheProcessIsHeld() {
    assertEquals("a", merged(home("m", "b")).getRunsOn());
  }

  @Test
  void aFurtherLegInDoubtIsShownWhereHomeHasCommittedTo() {
    ClusterRow row = merged(home("m-2", "c"));
    assertEquals("c", row.getRunsOn());
    assertEquals(HomeState.IN_DOUBT.name(), row.getMigration());
  }
}
