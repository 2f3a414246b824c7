package dev.exile.process;

import static dev.exile.process.ProcessState.BLOCKED;
import static dev.exile.process.ProcessState.EXILE;
import static dev.exile.process.ProcessState.KERNEL_RUNNING;
import static dev.exile.process.ProcessState.NEW;
import static dev.exile.process.ProcessState.PREEMPTED;
import static dev.exile.process.ProcessState.READY;
import static dev.exile.process.ProcessState.SUSPENDED_BLOCKED;
import static dev.exile.process.ProcessState.SUSPENDED_READY;
import static dev.exile.process.ProcessState.USER_RUNNING;
import static dev.exile.process.ProcessState.ZOMBIE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.process.ProcessState.Course;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class ProcessStateTest {
  /** Figures 7 to 10 and their text, arrow by arrow; written out here, not taken from the code. */
  private static final Set<String> ARROWS =
      Set.of(
          "NEW > READY",
          "NEW > SUSPENDED_READY",
          "READY > KERNEL_RUNNING",
          "KERNEL_RUNNING > USER_RUNNING",
          "USER_RUNNING > KERNEL_RUNNING",
          "KERNEL_RUNNING > PREEMPTED",
          "PREEMPTED > USER_RUNNING",
          "PREEMPTED > READY",
          "KERNEL_RUNNING > BLOCKED",
          "BLOCKED > READY",
          "KERNEL_RUNNING > ZOMBIE",
          "READY > ZOMBIE",
          "BLOCKED > ZOMBIE",
          "READY > SUSPENDED_READY",
          "SUSPENDED_READY > READY",
          "BLOCKED > SUSPENDED_BLOCKED",
          "SUSPENDED_BLOCKED > BLOCKED",
          "SUSPENDED_BLOCKED > SUSPENDED_READY",
          "READY > EXILE",
          "BLOCKED > EXILE",
          "EXILE > READY",
          "EXILE > BLOCKED");

  static Stream<List<ProcessState>> pairs() {
    return Arrays.stream(ProcessState.values())
        .flatMap(from -> Arrays.stream(ProcessState.values()).map(to -> List.of(from, to)));
  }

  @ParameterizedTest
  @MethodSource("pairs")
  void everyPairIsAMoveExactlyIfTheFiguresHaveItsArrow(List<ProcessState> pair) {
    ProcessState from = pair.get(0);
    ProcessState to = pair.get(1);

    assertEquals(ARROWS.contains(from + " > " + to), from.mayBecome(to), pair::toString);
    assertEquals(from.mayBecome(to), from.next().contains(to), pair::toString);
  }

  @ParameterizedTest
  @MethodSource("pairs")
  void aCourseTakesEveryMoveOfTheModelAndNoOther(List<ProcessState> pair) {
    ProcessState from = pair.get(0);
    ProcessState to = pair.get(1);
    Course course = new Course(from, from == EXILE ? BLOCKED : null);
    // of the two ways out of exile the one back
    if (ARROWS.contains(from + " > " + to) && !(from == EXILE && to == READY)) {
      course.move(to);
      assertEquals(to, course.state());
    } else {
      String said =
          assertThrows(IllegalStateException.class, () -> course.move(to), pair::toString)
              .getMessage();
      assertTrue(said.contains(from.name()) && said.contains(to.name()), said);
      assertEquals(from, course.state());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "USER_RUNNING, KERNEL_RUNNING PREEMPTED READY EXILE, READY",
    "KERNEL_RUNNING, PREEMPTED READY EXILE, READY",
    "PREEMPTED, READY EXILE, READY",
    "READY, EXILE, READY",
    "BLOCKED, EXILE, BLOCKED",
    "SUSPENDED_READY, READY EXILE, READY",
    "SUSPENDED_BLOCKED, BLOCKED EXILE, BLOCKED"
  })
  void theWayIntoExileIsLegalAndLeadsBackToWhereItBegan(
      ProcessState from, String way, ProcessState back) {
    List<ProcessState> wanted =
        Arrays.stream(way.split(" ", -1)).map(ProcessState::valueOf).toList();
    assertEquals(wanted, from.wayIntoExile());

    Course course = new Course(from);
    course.intoExile();
    assertEquals(EXILE, course.state());
    assertEquals(Optional.of(back), course.before());
    course.outOfExile();
    assertEquals(back, course.state());
    assertEquals(Optional.empty(), course.before());
  }

  @ParameterizedTest
  @EnumSource(names = {"NEW", "ZOMBIE", "EXILE"})
  void noWayLeadsIntoExileFromBeforeLifeAfterItOrExile(ProcessState from) {
    Course course = new Course(from, from == EXILE ? READY : null);

    assertThrows(IllegalStateException.class, course::intoExile);
    assertEquals(from, course.state());
  }

  @Test
  void whoIsNotInExileCannotLeaveItAndNobodyIsThereWithoutAPast() {
    assertThrows(IllegalStateException.class, () -> new Course(READY).outOfExile());
    assertThrows(IllegalStateException.class, () -> new Course(EXILE));
    assertThrows(IllegalStateException.class, () -> new Course(EXILE, NEW));
  }

  @ParameterizedTest
  @CsvSource({
    "NEW, NOT_RUNNING, -, NEW, NEW, NEW",
    "USER_RUNNING, RUNNING, RUNNING, RUNNING, RUNNING, USER_RUNNING",
    "KERNEL_RUNNING, RUNNING, RUNNING, RUNNING, RUNNING, KERNEL_RUNNING",
    "PREEMPTED, NOT_RUNNING, READY, READY, READY, PREEMPTED",
    "READY, NOT_RUNNING, READY, READY, READY, READY",
    "BLOCKED, NOT_RUNNING, BLOCKED, WAITING, BLOCKED, BLOCKED",
    "SUSPENDED_READY, NOT_RUNNING, -, READY, SUSPENDED_READY, SUSPENDED_READY",
    "SUSPENDED_BLOCKED, NOT_RUNNING, -, WAITING, SUSPENDED_BLOCKED, SUSPENDED_BLOCKED",
    "ZOMBIE, NOT_RUNNING, -, TERMINATED, TERMINATED, ZOMBIE",
    "EXILE, NOT_RUNNING, -, -, -, -"
  })
  void eachModelIsAView(
      ProcessState state, String two, String three, String five, String seven, String nine) {
    assertEquals(two, state.two().name());
    assertEquals(three, state.three().map(Enum::name).orElse("-"));
    assertEquals(five, state.five().map(Enum::name).orElse("-"));
    assertEquals(seven, state.seven().map(Enum::name).orElse("-"));
    assertEquals(nine, state.nine().map(Enum::name).orElse("-"));
  }

  /** Figure 8 without its suspended part is figure 7, and that without the ends is figure 6. */
  @Test
  void theArrowsSeenInTheFiveAndTheThreeStateModelAreTheirFigures() {
    assertEquals(
        new TreeSet<>(
            List.of(
                "NEW > READY",
                "READY > RUNNING",
                "RUNNING > READY",
                "RUNNING > WAITING",
                "WAITING > READY",
                "RUNNING > TERMINATED",
                "READY > TERMINATED",
                "WAITING > TERMINATED")),
        seen(state -> state.five().map(Enum::name)));
    assertEquals(
        new TreeSet<>(
            List.of("READY > RUNNING", "RUNNING > READY", "RUNNING > BLOCKED", "BLOCKED > READY")),
        seen(state -> state.three().map(Enum::name)));
  }

  private static Set<String> seen(Function<ProcessState, Optional<String>> view) {
    Set<String> arrows = new TreeSet<>();
    pairs()
        .filter(pair -> pair.get(0).mayBecome(pair.get(1)))
        .forEach(
            pair -> {
              Optional<String> from = view.apply(pair.get(0));
              Optional<String> to = view.apply(pair.get(1));
              if (from.isPresent() && to.isPresent() && !from.equals(to)) {
                arrows.add(from.get() + " > " + to.get());
              }
            });
    return arrows;
  }

  // ---- Reading. ----

  @Test
  void whatIsReadFollowsTheLetterAndWhereThePagesAre() {
    assertEquals(USER_RUNNING, ProcessState.of('R', 0, 4096));
    assertEquals(SUSPENDED_READY, ProcessState.of('R', 8192, 4096));
    for (char letter : "SDITt".toCharArray()) {
      assertEquals(BLOCKED, ProcessState.of(letter, 4096, 4096), "letter " + letter);
      assertEquals(SUSPENDED_BLOCKED, ProcessState.of(letter, 4097, 4096), "letter " + letter);
    }
    assertEquals(ZOMBIE, ProcessState.of('Z', 0, 0));
    assertEquals(ZOMBIE, ProcessState.of('X', 0, 0));
    assertThrows(IllegalArgumentException.class, () -> ProcessState.of('?', 0, 0));
    assertEquals(Set.of(), ZOMBIE.next());
    assertEquals(Set.of(READY, SUSPENDED_READY), NEW.next());
    assertEquals(Set.of(USER_RUNNING, READY), PREEMPTED.next());
    assertEquals(Set.of(USER_RUNNING, PREEMPTED, BLOCKED, ZOMBIE), KERNEL_RUNNING.next());
  }

  @Test
  void realProcessesAreReadAsWhatTheyDo() throws Exception {
    List<Process> started = new ArrayList<>();
    try {
      Process sleeps = start(started, "sleep", "60");
      Process runs = start(started, "sh", "-c", "while :; do :; done");
      Process stopped = start(started, "sleep", "60");
      signal(stopped, "STOP");
      // One that has ended and whose parent, which sleeps, never asks.
      Process parent = start(started, "sh", "-c", "sleep 0 & exec sleep 60");

      await(BLOCKED, () -> ProcessState.read((int) sleeps.pid()));
      await(USER_RUNNING, () -> ProcessState.read((int) runs.pid()));
      await(BLOCKED, () -> ProcessState.read((int) stopped.pid()));
      await(
          ZOMBIE,
          () ->
              Proc.all().stream()
                  .filter(process -> process.parent() == parent.pid())
                  .findFirst()
                  .flatMap(child -> ProcessState.read(child.pid())));
      int gone = (int) sleeps.pid();
      sleeps.destroyForcibly().waitFor();
      assertEquals(Optional.empty(), ProcessState.read(gone));
    } finally {
      started.forEach(Process::destroyForcibly);
    }
  }

  private static Process start(List<Process> started, String... command) throws IOException {
    Process process = new ProcessBuilder(command).start();
    started.add(process);
    return process;
  }

  private static void signal(Process process, String name) throws Exception {
    assertEquals(0, new ProcessBuilder("kill", "-" + name, "" + process.pid()).start().waitFor());
  }

  private static void await(ProcessState wanted, Supplier<Optional<ProcessState>> seen)
      throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
    while (!seen.get().equals(Optional.of(wanted)) && System.nanoTime() < end) {
      Thread.sleep(5);
    }
    assertEquals(Optional.of(wanted), seen.get());
  }
}
