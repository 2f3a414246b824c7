package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

/** A state that the whole cluster sees, and the states that a process keeps when it moves. */
@Hosts
class StatesIT {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration LIMIT = Duration.ofSeconds(15);

  /** A tracer: PTRACE_SEIZE. */
  private static final String SEIZE =
      "import ctypes, sys, time; ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), 0, 0);"
          + " time.sleep(60)";

  /** What `exile ps --watch -o json` of one host has told, with the time of each line. */
  private static final class Watch {
    record Line(long nanos, JsonNode json) {}

    final String host;
    private final List<Line> lines = new ArrayList<>();

    Watch(Testbed bed, String host) {
      this.host = host;
      Process process = bed.spawn(host, List.of("exile", "ps", "--watch", "-o", "json"));
      Thread reader = new Thread(() -> read(process.inputReader()), "ps " + host);
      reader.setDaemon(true);
      reader.start();
    }

    private void read(BufferedReader output) {
      try (output) {
        for (String line = output.readLine(); line != null; line = output.readLine()) {
          JsonNode json = JSON.readTree(line);
          synchronized (this) {
            lines.add(new Line(System.nanoTime(), json));
          }
        }
      } catch (IOException | UncheckedIOException closed) {
        // The test is over.
      }
    }

    /** When it was first told since then, in nanoseconds; 0 where it was not. */
    synchronized long told(long sinceNanos, Predicate<JsonNode> what) {
      return lines.stream()
          .filter(line -> (sinceNanos == 0 || line.nanos() >= sinceNanos) && what.test(line.json()))
          .mapToLong(Line::nanos)
          .findFirst()
          .orElse(0);
    }

    @Override
    public synchronized String toString() {
      return host + " " + lines.stream().map(Line::json).toList();
    }
  }

  private static Predicate<JsonNode> is(Daemon daemon, String field, String value) {
    return json ->
        json.path("pid").asInt() == daemon.pid() && json.path(field).asText().equals(value);
  }

  /** Waits until all hosts have told it; how far the last was behind the first, and since when. */
  private static void assertAllTell(
      List<Watch> watches, long since, String what, Predicate<JsonNode> told) {
    Await.until(
        LIMIT,
        () -> "all tell '" + what + "', but: " + watches,
        () -> watches.stream().allMatch(watch -> watch.told(since, told) != 0));
    long first = watches.stream().mapToLong(w -> w.told(since, told)).min().orElseThrow();
    long last = watches.stream().mapToLong(w -> w.told(since, told)).max().orElseThrow();
    long millis = TimeUnit.NANOSECONDS.toMillis(last - first);
    System.out.printf("%s: all hosts within %d ms%n", what, millis);
    assertTrue(millis <= 1_000, () -> what + ": " + millis + " ms between " + watches);
  }

  @Test
  void everyHostListsEveryMovedProcessAndSeesEachChangeWithinASecond(Testbed bed) {
    List<Watch> watches = bed.hosts().stream().map(host -> new Watch(bed, host)).toList();
    // The watches themselves take a moment to begin: until each has told of a first move.
    Daemon first = bed.python("a", "ticker.py", bed.work().resolve("first-ticks"));
    Exile.move(bed, first, "b");
    Await.until(
        LIMIT,
        () -> "all watch: " + watches,
        () -> watches.stream().allMatch(watch -> watch.told(0, is(first, "runsOn", "b")) != 0));
    Daemon ticker = bed.python("a", "ticker.py", bed.work().resolve("ticks"));
    long begun = System.nanoTime();

    Exile.move(bed, ticker, "b");
    assertAllTell(watches, begun, "in exile", is(ticker, "state", "EXILE"));
    assertAllTell(watches, begun, "runs on b", is(ticker, "runsOn", "b"));

    long stopped = System.nanoTime();
    signal(bed, ticker, "STOP");
    assertAllTell(watches, stopped, "stopped", is(ticker, "stopped", "true"));
    long continued = System.nanoTime();
    signal(bed, ticker, "CONT");
    assertAllTell(watches, continued, "goes on", is(ticker, "stopped", "false"));

    Map<String, JsonNode> rows = new ConcurrentHashMap<>();
    for (String host : bed.hosts()) {
      rows.put(host, row(bed, host, ticker));
    }
    JsonNode row = rows.get("c");
    assertEquals("a", row.path("home").asText(), row::toString);
    assertEquals("b", row.path("runsOn").asText(), row::toString);
    assertEquals("auto", row.path("algorithm").asText(), row::toString);
    assertEquals(0, row.path("sockets").path("established").asInt(), row::toString);
    assertTrue(row.path("signalsForwarded").asInt() >= 1, row::toString); // the SIGCONT
    // PIDs as the hosts themselves count them
    assertEquals(ticker.pid(), row.path("pid").asInt(), row::toString);
    assertTrue(
        bed.exec("b", "readlink", "/proc/" + row.path("pidThere").asInt() + "/exe")
            .out()
            .contains("python"),
        row::toString);
    for (JsonNode other : rows.values()) {
      for (String field : List.of("id", "home", "runsOn", "pid", "pidThere", "migration")) {
        assertEquals(row.path(field), other.path(field), rows::toString);
      }
    }

    long ended = System.nanoTime();
    ticker.kill();
    assertAllTell(watches, ended, "ended", is(ticker, "migration", "ENDED"));
  }

  @Test
  void aStoppedProcessArrivesStoppedAndGoesOnWhenItsDeputyIsContinued(Testbed bed) {
    Path file = bed.work().resolve("stopped-ticks");
    Daemon ticker = bed.python("a", "ticker.py", file);
    Await.until(LIMIT, () -> "it counts", () -> count(file) > 5);
    signal(bed, ticker, "STOP");
    Await.until(LIMIT, () -> "it stops", () -> state(bed, ticker, "a").equals("T"));
    long before = count(file);

    Exile.Outcome moved = Exile.migrate(bed, "a", ticker.pid(), "b");

    assertEquals(0, moved.exit(), moved.result()::toString);
    Await.until(
        LIMIT,
        () -> "told as stopped: " + row(bed, "c", ticker),
        () -> row(bed, "c", ticker).path("stopped").asBoolean());
    assertEquals("T", state(bed, ticker, "b"));
    Await.until(
        LIMIT,
        () -> "its deputy is stopped, too: " + state(bed, ticker, "a"),
        () -> state(bed, ticker, "a").matches("[Tt]"));
    assertEquals(before, count(file), "it counted while it was stopped");

    signal(bed, ticker, "CONT");
    Await.until(LIMIT, () -> "it goes on: " + count(file), () -> count(file) > before + 20);
  }

  @Test
  void aHostWhoseAgentIsGoneIsNamedWithTheTimeAndListensAgainOnceItIsBack(Testbed bed) {
    List<Watch> watches = List.of(new Watch(bed, "a"), new Watch(bed, "b"));
    Daemon ticker = bed.python("a", "ticker.py", bed.work().resolve("ticks-away"));
    Exile.move(bed, ticker, "b");
    long killed = System.nanoTime();
    long killedMillis = System.currentTimeMillis();

    bed.agentStop("c", "KILL");

    assertAllTell(watches, killed, "c is away", host("c", "reason"));
    String foot = Exile.run(bed, "a", "ps").result().out();
    assertTrue(foot.contains("c cannot be reached since "), foot);
    JsonNode away = Exile.run(bed, "b", "ps", "-o", "json").json().path("unreachable").path(0);
    assertEquals("c", away.path("host").asText(), away::toString);
    assertTrue(away.path("sinceMillis").asLong() >= killedMillis - 1, away::toString);
    long restarted = System.nanoTime();
    bed.agentStart("c");
    Await.until(
        LIMIT, // the agents try again at their leisure
        () -> "a and b tell that c is back: " + watches,
        () -> watches.stream().allMatch(w -> w.told(restarted, host("c", "reachable")) != 0));
    Await.until(
        LIMIT,
        () -> "c, too, tells: " + Exile.run(bed, "c", "ps").result(),
        () -> row(bed, "c", ticker).path("runsOn").asText().equals("b"));
  }

  @Test
  void aTracedProcessIsRefusedAndTheTracerNamed(Testbed bed) {
    Daemon ticker = bed.python("a", "ticker.py", bed.work().resolve("ticks-traced"));
    Process tracer =
        bed.spawn("a", List.of("/usr/bin/python3", "-c", SEIZE, Integer.toString(ticker.pid())));
    Await.until(
        LIMIT,
        () -> "it is traced",
        () ->
            !bed.exec("a", "grep", "TracerPid", "/proc/" + ticker.pid() + "/status")
                .out()
                .endsWith("\t0\n"));

    Exile.migrate(bed, "a", ticker.pid(), "b").assertFails("refused", "traced by process");

    tracer.descendants().forEach(ProcessHandle::destroy);
    ticker.assertRunsOnlyOn("a");
  }

  private static Predicate<JsonNode> host(String name, String field) {
    return json -> json.path("host").asText().equals(name) && json.has(field);
  }

  private static JsonNode row(Testbed bed, String host, Daemon daemon) {
    JsonNode all = Exile.run(bed, host, "ps", "-o", "json").json().path("processes");
    for (int i = all.size() - 1; i >= 0; i--) {
      if (all.get(i).path("pid").asInt() == daemon.pid()) {
        return all.get(i);
      }
    }
    return JSON.createObjectNode();
  }

  /** To the process's PID at home, as anybody there would. */
  private static void signal(Testbed bed, Daemon daemon, String name) {
    bed.exec(daemon.home(), "kill", "-" + name, Integer.toString(daemon.pid())).orFail();
  }

  /** The state's letter of what has its PID in a host: the process, or its deputy. */
  private static String state(Testbed bed, Daemon daemon, String host) {
    return bed.processes(host, daemon.pid()).stream()
        .map(process -> Character.toString(process.state()))
        .findFirst()
        .orElse("");
  }

  private static long count(Path file) {
    String text = Proc.read(file);
    return text.length() < 24 ? 0 : Long.parseLong(text.substring(8, 23).strip());
  }
}
