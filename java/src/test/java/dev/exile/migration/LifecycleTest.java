package dev.exile.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LifecycleTest {
  @TempDir private Path temp;
  private Path directory;
  private Journal journal;
  private Facts facts;
  private Lifecycle<HomeState> lifecycle;

  @BeforeEach
  void begin() throws IOException {
    directory = temp.resolve("journal");
    journal = new Journal(directory);
    facts = new Facts();
    facts.id = "0123456789";
    facts.role = "home";
    lifecycle = lifecycle(false);
    lifecycle.begin("asked to move");
  }

  private Lifecycle<HomeState> lifecycle(boolean faults) {
    return new Lifecycle<>(
        facts, HomeState.NEGOTIATING, HomeState::next, journal, new Faults(faults, temp));
  }

  private Facts onDisk() throws IOException {
    List<Facts> all = new Journal(directory).load();
    assertEquals(1, all.size());
    return all.get(0);
  }

  @Test
  void stateIsOnDiskWhenItIsEntered() throws IOException {
    assertEquals("NEGOTIATING", onDisk().state);

    lifecycle.enter(HomeState.PREPARING, "accepted");

    assertEquals(HomeState.PREPARING, lifecycle.state());
    assertEquals("PREPARING", onDisk().state);
    assertEquals("accepted", onDisk().reason);
    assertEquals(List.of("negotiating"), List.copyOf(onDisk().phases().keySet()));
  }

  @Test
  void moveThatTheTableForbidsIsRefusedAndNothingHasChanged() throws IOException {
    IllegalStateException refused =
        assertThrows(
            IllegalStateException.class, () -> lifecycle.enter(HomeState.COMMITTED, "too early"));

    for (String told : List.of("0123456789", "NEGOTIATING", "COMMITTED", "too early")) {
      assertTrue(refused.getMessage().contains(told), refused.getMessage());
    }
    assertNothingHasChanged();
  }

  @Test
  void journalThatCannotBeWrittenLeavesEverythingAsItWas() throws IOException {
    Path away = temp.resolve("away");
    Files.move(directory, away);

    assertThrows(IOException.class, () -> lifecycle.enter(HomeState.PREPARING, "accepted"));

    Files.move(away, directory);
    assertNothingHasChanged();
    lifecycle.enter(HomeState.PREPARING, "accepted after all");
    assertEquals("accepted after all", onDisk().reason);
  }

  @Test
  void faultComesBeforeTheRecord() throws IOException {
    Files.writeString(temp.resolve("fault"), "home.preparing fail\n");
    lifecycle = lifecycle(true);

    assertThrows(
        IllegalStateException.class, () -> lifecycle.enter(HomeState.PREPARING, "accepted"));

    assertNothingHasChanged();
    lifecycle.enter(HomeState.ROLLING_BACK, "fault");
    assertEquals(HomeState.ROLLING_BACK, lifecycle.state());
  }

  @Test
  void faultsAreForAgentsThatWereStartedWithThem() throws IOException {
    Files.writeString(temp.resolve("fault"), "home.preparing fail");

    lifecycle.enter(HomeState.PREPARING, "accepted");

    assertEquals(HomeState.PREPARING, lifecycle.state());
  }

  private void assertNothingHasChanged() throws IOException {
    assertEquals(HomeState.NEGOTIATING, lifecycle.state());
    for (Facts known : List.of(facts, onDisk())) {
      assertEquals("NEGOTIATING", known.state);
      assertEquals("asked to move", known.reason);
      assertEquals(Map.of(), known.phases());
    }
  }

  @Test
  void whatHasHappenedIsKnownEvenIfTheDiskRefusesIt() throws IOException {
    Path away = temp.resolve("away");
    Files.move(directory, away);

    lifecycle.force(HomeState.ROLLING_BACK, "nowhere to write");

    assertEquals(HomeState.ROLLING_BACK, lifecycle.state());
    Files.move(away, directory);
    lifecycle.force(HomeState.ROLLED_BACK, "written again");
    assertEquals("ROLLED_BACK", onDisk().state);
  }
}
