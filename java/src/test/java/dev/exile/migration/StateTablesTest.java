package dev.exile.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * The tables of both state machines, written down a second time and the other way round: from which
 * states may this one be entered? Every pair of states is compared.
 */
class StateTablesTest {
  private static final Map<HomeState, Set<HomeState>> HOME =
      Map.ofEntries(
          Map.entry(HomeState.NEGOTIATING, none(HomeState.class)),
          Map.entry(HomeState.REFUSED, EnumSet.of(HomeState.NEGOTIATING)),
          Map.entry(HomeState.PREPARING, EnumSet.of(HomeState.NEGOTIATING)),
          Map.entry(HomeState.FREEZING, EnumSet.of(HomeState.PREPARING)),
          Map.entry(HomeState.DUMPING, EnumSet.of(HomeState.FREEZING)),
          Map.entry(HomeState.TRANSFERRING, EnumSet.of(HomeState.DUMPING)),
          Map.entry(HomeState.RESTORING, EnumSet.of(HomeState.TRANSFERRING)),
          Map.entry(HomeState.COMMITTED, EnumSet.of(HomeState.RESTORING)),
          Map.entry(HomeState.IN_DOUBT, EnumSet.of(HomeState.COMMITTED, HomeState.FORWARDING)),
          Map.entry(HomeState.FORWARDING, EnumSet.of(HomeState.COMMITTED, HomeState.IN_DOUBT)),
          Map.entry(HomeState.ENDED, EnumSet.of(HomeState.FORWARDING)),
          Map.entry(
              HomeState.ROLLING_BACK,
              EnumSet.of(
                  HomeState.NEGOTIATING,
                  HomeState.PREPARING,
                  HomeState.FREEZING,
                  HomeState.DUMPING,
                  HomeState.TRANSFERRING,
                  HomeState.RESTORING,
                  HomeState.COMMITTED,
                  HomeState.IN_DOUBT)),
          Map.entry(HomeState.ROLLED_BACK, EnumSet.of(HomeState.ROLLING_BACK)));

  private static final Map<DestinationState, Set<DestinationState>> DESTINATION =
      Map.ofEntries(
          Map.entry(DestinationState.RECEIVING, none(DestinationState.class)),
          Map.entry(DestinationState.RESTORING, EnumSet.of(DestinationState.RECEIVING)),
          Map.entry(DestinationState.RESTORED, EnumSet.of(DestinationState.RESTORING)),
          Map.entry(DestinationState.COMMITTED, EnumSet.of(DestinationState.RESTORED)),
          Map.entry(
              DestinationState.RUNNING,
              EnumSet.of(DestinationState.COMMITTED, DestinationState.DEPARTING)),
          Map.entry(DestinationState.DEPARTING, EnumSet.of(DestinationState.RUNNING)),
          Map.entry(DestinationState.LEAVING, EnumSet.of(DestinationState.DEPARTING)),
          Map.entry(DestinationState.LEFT, EnumSet.of(DestinationState.LEAVING)),
          Map.entry(DestinationState.ENDED, EnumSet.of(DestinationState.RUNNING)),
          Map.entry(
              DestinationState.ABORTING,
              EnumSet.of(
                  DestinationState.RECEIVING,
                  DestinationState.RESTORING,
                  DestinationState.RESTORED)),
          Map.entry(DestinationState.ABORTED, EnumSet.of(DestinationState.ABORTING)));

  private static <S extends Enum<S>> Set<S> none(Class<S> states) {
    return EnumSet.noneOf(states);
  }

  @Test
  void homeMovesAsTheTableOfPredecessorsSays() {
    assertEquals(Set.of(HomeState.values()), HOME.keySet(), "a state is missing in this test");
    for (HomeState from : HomeState.values()) {
      for (HomeState to : HomeState.values()) {
        assertEquals(HOME.get(to).contains(from), from.next().contains(to), from + " -> " + to);
      }
    }
  }

  @Test
  void destinationMovesAsTheTableOfPredecessorsSays() {
    assertEquals(Set.of(DestinationState.values()), DESTINATION.keySet(), "a state is missing");
    for (DestinationState from : DestinationState.values()) {
      for (DestinationState to : DestinationState.values()) {
        assertEquals(
            DESTINATION.get(to).contains(from), from.next().contains(to), from + " -> " + to);
      }
    }
  }

  @Test
  void onlyTheNamedStatesAreFinal() {
    assertEquals(
        names(Stream.of(HomeState.REFUSED, HomeState.ENDED, HomeState.ROLLED_BACK)),
        names(Stream.of(HomeState.values()).filter(HomeState::isFinal)));
    assertEquals(
        names(Stream.of(DestinationState.ENDED, DestinationState.LEFT, DestinationState.ABORTED)),
        names(Stream.of(DestinationState.values()).filter(DestinationState::isFinal)));
  }

  @Test
  void whateverIsBeforeCommitCanRollBackAndWhatIsForwardedCannot() {
    for (HomeState state : HomeState.values()) {
      if (state.beforeCommit()) {
        assertTrue(state.next().contains(HomeState.ROLLING_BACK), state.name());
        assertTrue(state != HomeState.COMMITTED && !state.isFinal(), state.name());
      }
    }
    assertTrue(!HomeState.COMMITTED.beforeCommit() && !HomeState.IN_DOUBT.beforeCommit());
    assertTrue(!HomeState.FORWARDING.next().contains(HomeState.ROLLING_BACK));
  }

  @Test
  void destinationCanGiveUpExactlyWhileItIsUndecided() {
    for (DestinationState state : DestinationState.values()) {
      assertEquals(
          state.undecided(), state.next().contains(DestinationState.ABORTING), state.name());
    }
  }

  @Test
  void everyStateLeadsToAFinalOne() {
    for (HomeState state : HomeState.values()) {
      assertTrue(reachesHomesEnd(state, EnumSet.noneOf(HomeState.class)), state.name());
    }
  }

  private static boolean reachesHomesEnd(HomeState from, Set<HomeState> seen) {
    return from.isFinal()
        || (seen.add(from) && from.next().stream().anyMatch(to -> reachesHomesEnd(to, seen)));
  }

  private static Set<String> names(Stream<? extends Enum<?>> states) {
    return states.map(Enum::name).collect(java.util.stream.Collectors.toCollection(TreeSet::new));
  }
}
