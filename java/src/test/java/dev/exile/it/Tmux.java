package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** A real terminal in a host: a tmux session of 80 by 24, with a shell or another program in it. */
final class Tmux implements AutoCloseable {
  private static final Duration LIMIT = Duration.ofSeconds(20);
  private static final String PROMPT = "READY> ";

  private final Testbed bed;
  private final Path work;
  private final String socket;

  /** A session with a bash at its prompt. */
  static Tmux bash(Testbed bed) {
    Tmux tmux = new Tmux(bed, "env", "PS1=" + PROMPT, "bash", "--norc", "--noprofile");
    tmux.awaitPrompt();
    return tmux;
  }

  /** A session that runs this. */
  Tmux(Testbed bed, String... command) {
    try {
      this.bed = bed;
      this.work = Files.createTempDirectory(bed.work(), "tmux");
      this.socket = work.resolve("socket").toString();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    List<String> words = new ArrayList<>(List.of("new-session", "-d", "-s", "s"));
    words.addAll(List.of("-x", "80", "-y", "24", "-e", "work=" + work));
    words.addAll(List.of(command));
    tmux(words.toArray(String[]::new));
  }

  private String tmux(String... words) {
    List<String> line = new ArrayList<>(List.of("tmux", "-S", socket, "-f", "/dev/null"));
    line.addAll(List.of(words));
    return bed.exec("a", line.toArray(String[]::new)).orFail().out();
  }

  /** A file that is only this session's. */
  Path file(String name) {
    return work.resolve(name);
  }

  /** Presses keys, named as tmux names them; text is typed as it is. */
  Tmux keys(String... keys) {
    List<String> words = new ArrayList<>(List.of("send-keys", "-t", "s"));
    words.addAll(List.of(keys));
    tmux(words.toArray(String[]::new));
    return this;
  }

  /** Types a line. */
  Tmux type(String line) {
    return keys(line, "Enter");
  }

  /** Everything that was shown, without empty lines. */
  String screen() {
    return tmux("capture-pane", "-p", "-J", "-S", "-", "-t", "s")
        .lines()
        .map(String::stripTrailing)
        .filter(line -> !line.isEmpty())
        .reduce("", (all, line) -> all + line + "\n");
  }

  /**
   * Has tmux look for programs that have ended. Once a terminal is closed tmux runs utempter, which
   * ignores SIGCHLD meanwhile: a program that ends just then is missed, at home as in exile.
   */
  Tmux reap() {
    bed.exec("a", "kill", "-CHLD", tmux("display-message", "-p", "#{pid}").strip()).orFail();
    return this;
  }

  /** The lines that begin with this. */
  List<String> shown(String start) {
    return screen().lines().filter(line -> line.startsWith(start)).toList();
  }

  /** Whether the program has ended and the session with it. */
  boolean isOver() {
    return bed.exec("a", "tmux", "-S", socket, "has-session").exit() != 0;
  }

  /** Returns once a line is shown that is this. */
  Tmux await(String line) {
    Await.until(
        LIMIT,
        () -> "'" + line + "' is shown, but:\n" + screen(),
        () -> screen().lines().anyMatch(shown -> shown.equals(line)));
    return this;
  }

  /** Returns once the last line is this. */
  Tmux awaitLast(String line) {
    Await.until(
        LIMIT,
        () -> "'" + line + "' is the last line, but:\n" + screen(),
        () -> screen().endsWith("\n" + line + "\n") || screen().equals(line + "\n"));
    return this;
  }

  /** Returns once the shell has the terminal. */
  Tmux awaitPrompt() {
    return awaitLast(PROMPT.stripTrailing());
  }

  /** Asks the shell for something and asserts its answer, a line. */
  Tmux assertSays(String command, String answer) {
    return type(command).await(answer).awaitPrompt();
  }

  Tmux resize(int columns, int rows) {
    tmux("resize-window", "-t", "s", "-x", "" + columns, "-y", "" + rows);
    return this;
  }

  /** Moves the process that has written its PID to the file "pid". */
  Tmux move() {
    Await.until(LIMIT, () -> "it writes its pid", () -> !Proc.read(file("pid")).isBlank());
    Exile.Outcome outcome = Exile.migrate(bed, "a", pid(), "b");
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    System.out.printf("moved %s: %s%n", pid(), outcome.json());
    return this;
  }

  int pid() {
    return pid("pid");
  }

  /** The PID that was written to a file of this name. */
  int pid(String name) {
    return Integer.parseInt(Proc.read(file(name)).strip());
  }

  char state(String host) {
    return state(host, "pid");
  }

  /**
   * How the process of that file stands in a host: as in ps, or - where it is not there.
   *
   * @param name of the file that tells its PID
   */
  char state(String host, String name) {
    return bed.processes(host, pid(name)).stream().map(Proc::state).findFirst().orElse('-');
  }

  @Override
  public void close() {
    bed.exec("a", "tmux", "-S", socket, "kill-server");
  }
}
