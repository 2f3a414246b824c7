package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The command line, used in a host as an operator would. */
final class Exile {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration SOON = Duration.ofSeconds(20);

  private Exile() {}

  /** How a command ended. */
  record Outcome(Commands.Result result) {
    int exit() {
      return result.exit();
    }

    /** What -o json printed. */
    JsonNode json() {
      try {
        return result.out().isBlank() ? MissingNode.getInstance() : JSON.readTree(result.out());
      } catch (JsonProcessingException e) {
        throw new AssertionError(result.toString(), e);
      }
    }

    /** Asserts a refusal, or a rollback, that names its cause in a way fit for an operator. */
    Outcome assertFails(String outcome, String... causes) {
      assertEquals(1, exit(), result::toString);
      if (!json().isMissingNode()) {
        assertEquals(outcome, json().path("outcome").asText(), result::toString);
      }
      String said = json().path("reason").asText() + json().path("refusals") + result.err();
      for (String cause : causes) {
        assertTrue(said.contains(cause), () -> "'" + cause + "' in " + result);
      }
      assertFalse(said.contains("\tat "), () -> "a stack trace in " + result);
      return this;
    }
  }

  static Outcome run(Testbed bed, String host, String... arguments) {
    return new Outcome(bed.exec(host, words(arguments)));
  }

  /** Migrates and waits for the end of it. */
  static Outcome migrate(Testbed bed, String host, Object target, String to) {
    return run(bed, host, "migrate", target.toString(), "--to", to, "-o", "json");
  }

  /** Moves a server and asserts all that a success means, but for its clients. */
  static JsonNode move(Testbed bed, Daemon server, String to) {
    Outcome outcome = migrate(bed, server.home(), server.pid(), to);
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    assertEquals("migrated", outcome.json().path("outcome").asText(), outcome.result()::toString);
    assertEquals(server.pid(), outcome.json().path("pid").asInt());
    server.assertRunsOnlyOn(to);
    System.out.printf("moved %s: %s%n", server.pid(), outcome.json());
    return outcome.json();
  }

  /** Moves one that is in exile on; asked for at home or where it is. */
  static void hop(Testbed bed, String asked, Daemon process, String to) {
    int pid = asked.equals(process.home()) ? process.pid() : running(asked, process).hostPid();
    Outcome outcome = migrate(bed, asked, pid, to);
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    assertEquals("migrated", outcome.json().path("outcome").asText(), outcome.result()::toString);
    process.assertRunsOnlyOn(to);
    System.out.printf("moved on: %s%n", outcome.json());
  }

  /** A thread may be in a ptrace stop for a moment, as a signal is put into it. */
  private static Proc running(String host, Daemon process) {
    Await.until(
        SOON,
        () -> "a running copy on " + host + ": " + process.copies(host),
        () -> process.copies(host).stream().anyMatch(Proc::running));
    return process.copies(host).get(0);
  }

  /** Brings one that host a is home of back there. */
  static void recall(Testbed bed, String asked, String id) {
    Outcome outcome = run(bed, asked, "recall", id, "-o", "json");
    assertEquals(0, outcome.exit(), outcome.result()::toString);
    assertEquals("a", outcome.json().path("to").asText(), outcome.result()::toString);
    System.out.printf("recalled: %s%n", outcome.json());
  }

  /** A command that runs while the test goes on. */
  static final class Running {
    private final List<String> command;
    private final Process process;

    private Running(List<String> command, Process process) {
      this.command = command;
      this.process = process;
    }

    Outcome await() {
      return new Outcome(Commands.await(process, command));
    }
  }

  static Running start(Testbed bed, String host, String... arguments) {
    List<String> command = List.of(words(arguments));
    return new Running(command, bed.spawn(host, command));
  }

  /** The row of the latest migration that a host lists. */
  static JsonNode latest(Testbed bed, String host) {
    JsonNode latest = MissingNode.getInstance();
    for (JsonNode one : run(bed, host, "ps", "-o", "json").json().path("processes")) {
      if (one.path("startedMillis").asLong() >= latest.path("startedMillis").asLong()) {
        latest = one;
      }
    }
    return latest;
  }

  private static String[] words(String... arguments) {
    List<String> words = new ArrayList<>(List.of("exile"));
    words.addAll(Arrays.asList(arguments));
    return words.toArray(String[]::new);
  }
}
