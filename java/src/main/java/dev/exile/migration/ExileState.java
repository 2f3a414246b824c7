package dev.exile.migration;

import dev.exile.process.ProcessState;
import java.io.IOException;
import java.util.Optional;

/**
 * Takes a migration's process into the EXILE of the paper's figure 10 and out of it again. Every
 * move is checked by {@link ProcessState}; one that the model does not have is an error, which
 * before COMMIT rolls the migration back.
 *
 * <p>The root's state stands for the tree's.
 */
final class ExileState {
  private ExileState() {}

  /**
   * At home, right before the freeze: once frozen, every process looks asleep.
   *
   * @throws IllegalStateException where the process is in a state from which none goes into exile
   */
  static void enter(Facts facts) throws IOException {
    enter(facts, facts.pid);
  }

  /** The same where it has another PID than at home. */
  static void enter(Facts facts, int pid) throws IOException {
    Optional<ProcessState> now = ProcessState.read(pid);
    if (now.isEmpty() || now.get() == ProcessState.ZOMBIE) {
      throw new ProcessEndedException(pid);
    }
    ProcessState.Course course = new ProcessState.Course(now.get());
    course.intoExile();
    record(facts, course);
  }

  /**
   * At the destination, as its images are there: it is in exile still.
   *
   * @param before the state that it had at home
   */
  static void arrive(Facts facts, String before) throws IOException {
    try {
      record(
          facts,
          new ProcessState.Course(
              ProcessState.EXILE,
              before.isEmpty() ? ProcessState.READY : ProcessState.valueOf(before)));
    } catch (IllegalArgumentException | IllegalStateException e) {
      throw new IOException("told a state that nobody goes back to: " + before, e);
    }
  }

  /** On both sides: it goes on in the state that it had. Where it is not in exile, nothing. */
  static void leave(Facts facts) {
    if (facts.processState == ProcessState.EXILE) {
      ProcessState.Course course = new ProcessState.Course(ProcessState.EXILE, facts.stateBefore);
      course.outOfExile();
      facts.processState = null; // from here on it changes by itself, and /proc tells
    }
  }

  private static void record(Facts facts, ProcessState.Course course) {
    facts.stateBefore = course.before().orElseThrow();
    facts.processState = course.state();
  }
}
