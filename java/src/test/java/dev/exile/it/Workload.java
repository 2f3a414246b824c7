package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** One of the clients of src/test/workloads at work in a host. */
final class Workload {
  private static final Path FOLDER = Testbed.ROOT.resolve("java/src/test/workloads");
  private static final Duration LIMIT = Duration.ofSeconds(60);
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String END = "(end)";

  private final String name;
  private final Process process;
  private final Writer input;
  private final BlockingQueue<String> lines = new LinkedBlockingQueue<>();
  private final Queue<String> complaints = new ConcurrentLinkedQueue<>();

  private JsonNode last = MissingNode.getInstance();

  private Workload(String name, Process process) {
    this.name = name;
    this.process = process;
    this.input = process.outputWriter();
    follow(process.inputReader(), lines::add, END);
    follow(process.errorReader(), complaints::add, "");
  }

  /** Starts a client and returns once its load flows. */
  static Workload start(Testbed bed, String host, String script, Object... arguments) {
    List<String> command = python(script, arguments);
    return of(String.join(" ", command.subList(2, command.size())), bed.spawn(host, command));
  }

  /** A client that has just been started; returns once its load flows. */
  static Workload of(String name, Process process) {
    Workload workload = new Workload(name, process);
    assertEquals("ready", workload.next(), () -> workload.describe());
    return workload;
  }

  /** Starts redis_load.py in one host against the redis of another. */
  static Workload redis(Testbed bed, String host, String server, String mode, Object... options) {
    List<Object> arguments = new ArrayList<>(List.of("--host", bed.ip(server), mode));
    arguments.addAll(List.of(options));
    return start(bed, host, "redis_load.py", arguments.toArray());
  }

  /** The path of a file beside the clients. */
  static String path(String file) {
    return FOLDER.resolve(file).toString();
  }

  static List<String> python(String script, Object... arguments) {
    // -B: what is compiled must not end up in the source tree.
    List<String> command = new ArrayList<>(List.of("/usr/bin/python3", "-B", path(script)));
    for (Object argument : arguments) {
      command.add(argument.toString());
    }
    return command;
  }

  /** The tally so far. */
  JsonNode report() {
    try {
      input.write("report\n");
      input.flush();
    } catch (IOException e) {
      throw new AssertionError(describe(), e);
    }
    last = json(next());
    return last;
  }

  /** Returns once the load has gone on for so many answers, or bytes of a transfer. */
  void awaitMore(String field, long count) {
    long goal = report().path(field).asLong() + count;
    Await.until(
        LIMIT,
        () -> name + ": " + field + " reaches " + goal + ", but: " + report(),
        () -> report().path(field).asLong() >= goal);
  }

  /** Ends the load, waits for what is still on its way and returns the summary. */
  JsonNode finish() {
    try {
      input.close();
      // A client whose transfer is over has printed its summary before.
      for (String line = next(); !line.equals(END); line = next()) {
        last = json(line);
      }
      if (!process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS)) {
        throw new AssertionError("does not end: " + describe());
      }
      return last;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  /** Ends the load and asserts that everything was answered, and answered rightly. */
  JsonNode finishUnharmed() {
    JsonNode summary = finish();
    assertEquals(0, summary.path("errorCount").asInt(), () -> name + ": " + summary);
    assertEquals(0, summary.path("wrong").asInt(), () -> name + ": " + summary);
    assertEquals(0, summary.path("lost").asInt(), () -> name + ": " + summary);
    System.out.printf("%s: stall %s ms%n", name, summary.path("stallMillis").asText());
    return summary;
  }

  private String next() {
    try {
      String line = lines.poll(LIMIT.toSeconds(), TimeUnit.SECONDS);
      if (line == null) {
        throw new AssertionError("is silent: " + describe());
      }
      return line;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError("interrupted", e);
    }
  }

  private JsonNode json(String line) {
    if (line.equals(END)) {
      throw new AssertionError("has ended: " + describe());
    }
    try {
      return JSON.readTree(line);
    } catch (JsonProcessingException e) {
      throw new AssertionError(name + " printed: " + line, e);
    }
  }

  private String describe() {
    return name + "\n" + String.join("\n", complaints) + "\nlast said: " + last;
  }

  private static void follow(
      BufferedReader reader, java.util.function.Consumer<String> sink, String end) {
    Thread thread =
        new Thread(
            () -> {
              try (reader) {
                reader.lines().forEach(sink);
              } catch (IOException | UncheckedIOException closed) {
                // The process was ended; that is its end.
              }
              sink.accept(end);
            },
            "workload output");
    thread.setDaemon(true);
    thread.start();
  }
}
