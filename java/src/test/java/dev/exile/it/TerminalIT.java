package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A job in a real terminal at home, of which home's shell and its user notice nothing. */
@Hosts({"a", "b"})
class TerminalIT {
  private static final Duration SOON = Duration.ofSeconds(10);
  private static final String JOB = String.join(" ", Workload.python("terminal_job.py"));

  private static Tmux job(Testbed bed) {
    return Tmux.bash(bed).type(JOB).await("begins").move();
  }

  /** The job tells its terminal's name, and that it is in the foreground there. */
  private static String terminal(Tmux tmux) {
    int before = tmux.shown("tty /dev/pts/").size();
    tmux.type("tty");
    Await.until(SOON, tmux::screen, () -> tmux.shown("tty /dev/pts/").size() > before);
    String said = tmux.shown("tty /dev/pts/").get(before);
    assertTrue(said.endsWith(" True"), said);
    return said;
  }

  private static void awaitState(Tmux tmux, String host, String states) {
    Await.until(
        SOON,
        () -> "on " + host + " it is " + states + ", but " + tmux.state(host),
        () -> states.indexOf(tmux.state(host)) >= 0);
  }

  @Test
  void linesAreEchoedEditedAndRead(Testbed bed) {
    try (Tmux tmux = Tmux.bash(bed).type(JOB).await("begins")) {
      String terminal = terminal(tmux);
      tmux.move();
      tmux.keys("helo", "BSpace", "lo").awaitLast("hello").keys("Enter").await("read hello");
      assertEquals(terminal, terminal(tmux));
      tmux.type("exit 7");
      tmux.awaitPrompt().assertSays("echo status $?", "status 7");
    }
  }

  @Test
  void endOfInputFromTheKeyboard(Testbed bed) {
    try (Tmux tmux = job(bed)) {
      tmux.keys("C-d").await("ends").awaitPrompt();
    }
  }

  @Test
  void passwordsAreNotShown(Testbed bed) {
    try (Tmux tmux = job(bed)) {
      tmux.type("secret").awaitLast("which?").type("hidden").await("secret hidden");
      assertEquals(1, tmux.screen().split("hidden", -1).length - 1, tmux.screen());
      tmux.type("seen").await("read seen");
      assertEquals(2, tmux.screen().split("seen", -1).length - 1, tmux.screen());
    }
  }

  @Test
  void stoppedContinuedAndInterruptedByKeys(Testbed bed) {
    try (Tmux tmux = job(bed)) {
      tmux.keys("C-z").awaitPrompt();
      awaitState(tmux, "b", "T");
      tmux.assertSays("jobs | cut -c1-13", "[1]+  Stopped");
      tmux.assertSays("stty | grep -o speed", "speed");
      tmux.type("fg");
      awaitState(tmux, "b", "S");
      tmux.type("again").await("read again");

      tmux.keys("C-c").awaitPrompt().assertSays("echo status $?", "status 130");
      awaitState(tmux, "a", "-");
    }
  }

  @Test
  void inTheBackgroundItWritesAndTheShellReads(Testbed bed) {
    try (Tmux tmux = Tmux.bash(bed)) {
      tmux.type(
          "bash -c 'echo $$ >$work/pid; for i in {1..1000}; do echo tick $i; sleep 0.5; done'");
      tmux.await("tick 1").move().keys("C-z").awaitPrompt().type("bg");
      awaitState(tmux, "b", "S");
      tmux.type("echo shell").await("shell");
      int ticks = tmux.screen().split("tick ", -1).length;
      Await.until(SOON, tmux::screen, () -> tmux.screen().split("tick ", -1).length > ticks);
      tmux.type("fg").keys("C-c").type("echo status $?").await("status 130");
    }
  }

  @Test
  void inTheBackgroundItStopsWhenItReads(Testbed bed) {
    try (Tmux tmux = job(bed)) {
      tmux.keys("C-z").awaitPrompt().type("bg");
      awaitState(tmux, "b", "T");
      awaitState(tmux, "a", "Tt");
      tmux.assertSays("echo for the shell", "for the shell");
      tmux.type("fg").type("for the job").await("read for the job");
    }
  }

  @Test
  void theWindowsSizeFollows(Testbed bed) {
    try (Tmux tmux = job(bed)) {
      tmux.resize(101, 31).await("size 101 31");
      tmux.keys("C-z").awaitPrompt().resize(90, 20).type("fg").await("size 90 20");
      assertEquals(2, tmux.screen().split("size ", -1).length - 1, tmux.screen());
    }
  }

  @Test
  void keysReachThoseOfTheJobWhoStayAndThoseBornThere(Testbed bed) {
    try (Tmux tmux = Tmux.bash(bed)) {
      tmux.type(
          "bash -c 'trap \"echo producer >>$work/ends; exit 1\" INT; while :; do sleep 0.1; done' |"
              + " bash -c 'echo $$ >$work/pid; trap \"echo job >>$work/ends; exit 2\" INT;"
              + " while :; do sleep 1000; done' | cat");
      tmux.move();
      // The sleep that came along ends: the next one is born there and has no deputy.
      bed.processes("b").stream()
          .filter(process -> process.inCell() && process.program().endsWith("sleep"))
          .forEach(process -> ProcessHandle.of(process.pid()).ifPresent(ProcessHandle::destroy));

      tmux.keys("C-z").awaitPrompt();
      awaitState(tmux, "b", "T");
      tmux.type("fg");
      awaitState(tmux, "b", "S");
      tmux.keys("C-c").awaitPrompt();
      tmux.assertSays("cat $work/ends", "job").await("producer");
      awaitState(tmux, "a", "-");
    }
  }

  @Test
  void aPagerAtItsEndHasTheKeys(Testbed bed) {
    try (Tmux tmux = Tmux.bash(bed)) {
      tmux.type(
          "bash -c 'echo $$ >$work/pid; for i in {1..60}; do echo line $i; done; sleep 1000' | less");
      tmux.await("line 23").move();
      tmux.keys("Space").await("line 46").keys("q").keys("C-c").awaitPrompt();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"exit 3", "C-c"})
  void theLeaderOfTheTerminalsSessionMoves(String end, Testbed bed) {
    try (Tmux tmux = new Tmux(bed, Workload.python("terminal_job.py").toArray(String[]::new))) {
      tmux.await("begins");
      bed.exec("a", "tmux", "-S", tmux.file("socket").toString(), "set", "remain-on-exit", "on");
      String terminal = terminal(tmux);
      assertEquals(terminal, terminal(tmux.move()));
      tmux.resize(70, 20).await("size 70 20");
      if (end.equals("C-c")) {
        tmux.keys(end).await("KeyboardInterrupt");
      } else {
        tmux.type(end);
      }
      String how = end.equals("C-c") ? "signal 2" : "status 3";
      Await.until(SOON, tmux::screen, () -> tmux.reap().screen().contains("Pane is dead (" + how));
    }
  }

  /** At its end the kernel hangs up what is stopped. What runs lives on, as it would at home. */
  @Test
  void aShellMovesWithItsJobs(Testbed bed) {
    try (Tmux tmux = Tmux.bash(bed)) {
      tmux.assertSays("echo $$ >$work/pid; echo at $(hostname)", "at a");
      tmux.assertSays("sleep 1000 & echo $! >$work/job; echo begun", "begun").move();
      tmux.assertSays("echo at $(hostname)", "at b");
      tmux.type("cat").type("copied").keys("C-z").awaitPrompt();
      tmux.assertSays("jobs | cut -c1-13 | tail -n 1", "[2]+  Stopped");
      tmux.assertSays("exit", "There are stopped jobs.").type("exit");
      Await.until(SOON, tmux::screen, tmux::isOver);
      awaitState(tmux, "b", "-");

      assertEquals('S', tmux.state("b", "job"));
      bed.processes("a", tmux.pid("job"))
          .forEach(deputy -> ProcessHandle.of(deputy.pid()).ifPresent(ProcessHandle::destroy));
    }
  }

  @Test
  void hangingUpEndsTheJob(Testbed bed) {
    Tmux tmux = job(bed);
    tmux.close();
    awaitState(tmux, "b", "-");
    awaitState(tmux, "a", "-");
  }

  @Test
  void rolledBackTheTerminalIsAsItWas(Testbed bed) {
    try (Tmux tmux = Tmux.bash(bed)) {
      tmux.type(JOB).await("begins");
      bed.agentStop("b", "TERM");
      try {
        Exile.migrate(bed, "a", tmux.pid(), "b").assertFails("refused");
      } finally {
        bed.agentStart("b");
      }
      tmux.type("still").await("read still");
      assertTrue(tmux.screen().contains("still\n"));
      assertFalse(tmux.screen().contains("Stopped"));
    }
  }
}
