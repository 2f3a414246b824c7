package dev.exile.cli;

import static dev.exile.cli.FakeAgent.progress;
import static dev.exile.cli.FakeAgent.redis;
import static dev.exile.cli.FakeAgent.refusal;
import static dev.exile.cli.FakeAgent.result;
import static dev.exile.cli.FakeAgent.row;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.exile.rpc.control.CancelReply;
import dev.exile.rpc.control.CheckReply;
import dev.exile.rpc.control.ClusterRow;
import dev.exile.rpc.control.ClusterView;
import dev.exile.rpc.control.Report;
import dev.exile.rpc.control.Unreachable;
import io.grpc.Status;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ControlCommandsTest {
  private static final String JSON =
      "{\"id\":\"m1\",\"pid\":123,\"command\":\"redis-server\",\"from\":\"a\",\"to\":\"b\","
          + "\"algorithm\":\"total-copy\",\"outcome\":\"migrated\",\"reason\":\"\","
          + "\"frozenMillis\":210,\"totalMillis\":1300,\"bytesTransferred\":104200000,"
          + "\"phases\":[{\"name\":\"freeze\",\"millis\":3},{\"name\":\"transfer\",\"millis\":180}],"
          + "\"sockets\":{\"established\":51,\"listening\":2,"
          + "\"takeMillis\":0.0,\"reconnectMillis\":0.0},\"refusals\":[],\"role\":\"home\","
          + "\"state\":\"RUNNING\",\"startedMillis\":1700000000000,"
          + "\"signals\":[{\"number\":15,\"name\":\"SIGTERM\",\"held\":1,\"forwarded\":2}],"
          + "\"felt\":{\"connections\":0,\"waited\":0,\"medianMillis\":0.0,\"p99Millis\":0.0,"
          + "\"worstMillis\":0.0,\"resets\":0,\"worst\":[]},\"way\":[\"a\",\"c\",\"b\"],\"held\":40,"
          + "\"rounds\":[{\"bytes\":4000,\"pages\":2,\"millis\":7,\"dirtyPages\":1}],\"faults\":3,"
          + "\"dependsOnHomeMillis\":-1,\"missingBytes\":8192,\"note\":\"\"}";

  @TempDir private Path temp;
  private FakeAgent agent;

  @BeforeEach
  void start() throws Exception {
    agent = new FakeAgent(temp.resolve("agent.sock"));
  }

  @AfterEach
  void stop() throws InterruptedException {
    agent.close();
  }

  private Cli exile(String... args) {
    Stream<String> all =
        Stream.concat(
            Stream.of(args), Stream.of("--socket", temp.resolve("agent.sock").toString()));
    return Cli.run(all.toArray(String[]::new));
  }

  private void ends(Report.Builder report) {
    agent.onMigrate =
        (request, events) -> {
          events.onNext(progress("freeze", 0, 0));
          events.onNext(progress("transfer", 0, 104_200_000));
          events.onNext(progress("transfer", 104_200_000, 104_200_000));
          events.onNext(result(report));
          events.onCompleted();
        };
  }

  @Test
  void inAPipeAMigrationIsLinesOfPhasesAndOneOfSummary() {
    ends(redis("migrated"));
    Cli cli = exile("migrate", "123", "--to", "b");

    assertEquals(
        "redis-server (PID 123) runs on b: frozen 210 ms, 104.2 MB in 1.3 s, 51 connections kept\n",
        cli.out());
    assertEquals(List.of("m1: freeze", "m1: transfer, 0 bytes of 104.2 MB"), cli.errLines());
    assertEquals(ExitCode.OK, cli.exitCode());
  }

  @Test
  void theRequestCarriesWhatMemoryIsAllowed() {
    ends(redis("migrated"));
    String options =
        "--algorithm pre-copy --rounds 3 --dirty-threshold 16M --max-freeze 50 --bandwidth 2G"
            + " --tracker soft-dirty";
    assertEquals(ExitCode.OK, exile(("migrate 123 --to b " + options).split(" ", -1)).exitCode());

    assertEquals("pre-copy", agent.request.getAlgorithm());
    assertEquals(3, agent.request.getRounds());
    assertEquals(16 << 20, agent.request.getDirtyThreshold());
    assertEquals(50, agent.request.getMaxFreezeMillis());
    assertEquals(2L << 30, agent.request.getBytesPerSecond());
    assertEquals("soft-dirty", agent.request.getTracker());
  }

  @Test
  void whatIsNoLimitIsRefusedWithItsValue() {
    for (String option :
        List.of("--rounds 0", "--max-freeze -5", "--bandwidth fast", "--dirty-threshold 0")) {
      Cli cli = exile(("migrate 123 --to b " + option).split(" ", -1));

      assertEquals(ExitCode.USAGE, cli.exitCode());
      assertTrue(cli.err().contains(option.split(" ", -1)[1]), cli.err());
    }
  }

  @Test
  void theRequestCarriesTheTargetTheHostAndTheAlgorithm() {
    ends(redis("migrated"));
    assertEquals(ExitCode.OK, exile("migrate", "redis-server", "--to", "b").exitCode());

    assertEquals("redis-server", agent.request.getTarget());
    assertEquals("b", agent.request.getTo());
    assertEquals("auto", agent.request.getAlgorithm());
  }

  @Test
  void asJsonAMigrationIsOneObjectAloneOnStandardOutput() {
    ends(redis("migrated"));
    Cli cli = exile("migrate", "123", "--to", "b", "-o", "json");

    assertEquals(JSON + "\n", cli.out());
    assertEquals("", cli.err());
    assertEquals(ExitCode.OK, cli.exitCode());
  }

  @Test
  void asJsonARefusalKeepsItsReasonsAndItsExitCode() throws Exception {
    ends(redis("refused").addRefusals(refusal("port 6379 is taken", "stop PID 7 there")));
    Cli cli = exile("migrate", "123", "--to", "b", "-o", "json");

    JsonNode json = new ObjectMapper().readTree(cli.out());
    assertEquals("refused", json.get("outcome").textValue());
    assertEquals(
        "[{\"what\":\"port 6379 is taken\",\"remedy\":\"stop PID 7 there\"}]",
        json.get("refusals").toString());
    assertEquals(ExitCode.FAILED, cli.exitCode());
  }

  @Test
  void everyReasonOfARefusalIsALine() {
    agent.onMigrate =
        (request, events) -> {
          events.onNext(
              result(
                  redis("refused")
                      .addRefusals(refusal("port 6379 is taken", "stop PID 7 there"))
                      .addRefusals(refusal("/bin/x is missing", "install it"))));
          events.onCompleted();
        };
    Cli cli = exile("migrate", "123", "--to", "b");

    assertEquals(
        List.of(
            "refused: port 6379 is taken: stop PID 7 there",
            "refused: /bin/x is missing: install it"),
        cli.errLines());
    assertEquals("", cli.out());
    assertEquals(ExitCode.FAILED, cli.exitCode());
  }

  @Test
  void aRollbackSaysWhyAndWhereTheProcessRuns() {
    ends(redis("rolled-back").setReason("criu dump failed"));
    Cli cli = exile("migrate", "123", "--to", "b");

    assertEquals("rolled back: criu dump failed; PID 123 runs on at a", last(cli));
    assertEquals("", cli.out());
    assertEquals(ExitCode.FAILED, cli.exitCode());
  }

  @Test
  void doubtHasItsOwnExitCodeAndShowsBothWaysOut() {
    ends(redis("in-doubt").setReason("b does not answer since COMMIT"));
    Cli cli = exile("migrate", "123", "--to", "b");

    assertTrue(cli.err().contains("in doubt: b does not answer since COMMIT\n"), cli.err());
    assertTrue(cli.err().contains("exile show m1"), cli.err());
    assertTrue(cli.err().contains("b is lost for good: PID 123 stays held at a"), cli.err());
    assertEquals(ExitCode.IN_DOUBT, cli.exitCode());
  }

  @Test
  void anAgentThatGoesAwayInTheMiddleLeavesDoubt() {
    agent.onMigrate =
        (request, events) -> {
          events.onNext(progress("freeze", 0, 0));
          events.onError(Status.UNAVAILABLE.asRuntimeException());
        };
    Cli cli = exile("migrate", "123", "--to", "b");

    assertEquals(
        "exile: in doubt: the agent went away (UNAVAILABLE); exile show m1 tells how it ended",
        last(cli));
    assertEquals(ExitCode.IN_DOUBT, cli.exitCode());
  }

  @Test
  void aStreamWithoutAResultLeavesDoubt() {
    agent.onMigrate = (request, events) -> events.onCompleted();
    Cli cli = exile("migrate", "123", "--to", "b", "-o", "json");

    assertEquals(
        "exile: in doubt: the agent ended the call without a result; exile ps lists it", last(cli));
    assertEquals("", cli.out());
    assertEquals(ExitCode.IN_DOUBT, cli.exitCode());
  }

  @ParameterizedTest
  @CsvSource({"INVALID_ARGUMENT, 2", "NOT_FOUND, 1", "FAILED_PRECONDITION, 1"})
  void theAgentsErrorsAreItsWordsWithAnExitCode(Status.Code code, int exitCode) {
    agent.failure = Status.fromCode(code).withDescription("no such process: 9");

    for (String command : List.of("migrate 9 --to b", "check 9 --to b", "show m9", "cancel m9")) {
      Cli cli = exile(command.split(" ", -1));
      assertEquals("exile: no such process: 9\n", cli.err(), command);
      assertEquals("", cli.out(), command);
      assertEquals(exitCode, cli.exitCode(), command);
    }
  }

  @Test
  void aDryRunIsACheck() {
    agent.check =
        CheckReply.newBuilder()
            .setAccepted(true)
            .setPid(123)
            .setCommand("redis-server")
            .setFrom("a")
            .setTo("b")
            .build();
    for (String command : List.of("check 123 --to b", "migrate 123 --to b --dry-run")) {
      Cli cli = exile(command.split(" ", -1));
      assertEquals("redis-server (PID 123) can move from a to b\n", cli.out());
      assertEquals(ExitCode.OK, cli.exitCode());

      Cli json = exile((command + " -o json").split(" ", -1));
      assertEquals(
          "{\"pid\":123,\"command\":\"redis-server\",\"from\":\"a\",\"to\":\"b\","
              + "\"algorithm\":\"auto\",\"outcome\":\"accepted\",\"accepted\":true,"
              + "\"refusals\":[]}\n",
          json.out());
    }
  }

  @Test
  void aCheckThatRefusesListsEveryReasonAndFails() {
    agent.check =
        CheckReply.newBuilder()
            .addRefusals(refusal("b is unreachable", "start its agent"))
            .addRefusals(refusal("no room", "free 1 GB"))
            .build();
    Cli cli = exile("check", "123", "--to", "b");

    assertEquals(
        List.of("refused: b is unreachable: start its agent", "refused: no room: free 1 GB"),
        cli.errLines());
    assertEquals(ExitCode.FAILED, cli.exitCode());
  }

  private static String processJson(String id, String state) {
    return ("{\"id\":\"%s\",\"state\":\"%s\",\"stopped\":false,\"pid\":123,"
            + "\"command\":\"redis-server\",\"home\":\"a\",\"runsOn\":\"b\",\"pidThere\":4711,"
            + "\"to\":\"b\",\"algorithm\":\"total-copy\",\"migration\":\"FORWARDING\","
            + "\"sockets\":{\"established\":51,\"listening\":2},\"signalsHeld\":1,"
            + "\"signalsForwarded\":2,\"startedMillis\":1700000000000}")
        .formatted(id, state);
  }

  private static ClusterView view(ClusterRow.Builder... rows) {
    ClusterView.Builder view = ClusterView.newBuilder();
    Stream.of(rows).forEach(view::addRows);
    return view.build();
  }

  @Test
  void psIsATableWithTheHostsThatAreSilentAtItsFoot() {
    agent.views =
        List.of(
            view(
                    row("m1", "BLOCKED").setStopped(true),
                    row("m2", "EXILE").setRunsOn("a").setPidThere(0).setMigration("DUMPING"),
                    row("m3", "").setRunsOn("").setPidThere(0).setMigration("ENDED"))
                .toBuilder()
                .addUnreachable(
                    Unreachable.newBuilder()
                        .setHost("c")
                        .setSinceMillis(1_700_000_000_123L)
                        .setReason("connection refused"))
                .build());

    assertEquals(
        List.of(
            "ID  PID  COMMAND       STATE              HOME  RUNS ON       ALGORITHM   MIGRATION"
                + "   SOCKETS  SIGNALS",
            "m1  123  redis-server  BLOCKED (stopped)  a     b (PID 4711)  total-copy  FORWARDING"
                + "  51 + 2   1 + 2",
            "m2  123  redis-server  EXILE              a     a             total-copy  DUMPING"
                + "     51 + 2   1 + 2",
            "m3  123  redis-server  -                  a     -             total-copy  ENDED"
                + "       51 + 2   1 + 2",
            "c cannot be reached since 2023-11-14T22:13:20Z: connection refused"),
        exile("ps").out().lines().toList());
  }

  @Test
  void psAsJsonIsOneObjectWithProcessesAndSilentHosts() {
    assertEquals("{\"processes\":[],\"unreachable\":[]}\n", exile("ps", "-o", "json").out());
    agent.views =
        List.of(
            view(row("m1", "BLOCKED")).toBuilder()
                .addUnreachable(Unreachable.newBuilder().setHost("c").setSinceMillis(5))
                .build());
    assertEquals(
        "{\"processes\":["
            + processJson("m1", "BLOCKED")
            + "],\"unreachable\":[{\"host\":\"c\",\"sinceMillis\":5,\"reason\":\"\"}]}\n",
        exile("ps", "-o", "json").out());
  }

  @Test
  void aWatchedPsAsJsonIsALineForEachChangeUntilTheAgentStops() {
    ClusterRow.Builder still = row("m1", "BLOCKED");
    agent.views =
        List.of(
            view(still, row("m2", "READY")),
            view(still, row("m2", "EXILE")).toBuilder()
                .addUnreachable(Unreachable.newBuilder().setHost("c").setSinceMillis(5))
                .build(),
            view(still, row("m2", "EXILE")));
    Cli cli = exile("ps", "--watch", "-o", "json");

    assertEquals(
        List.of(
            processJson("m1", "BLOCKED"),
            processJson("m2", "READY"),
            processJson("m2", "EXILE"),
            "{\"host\":\"c\",\"sinceMillis\":5,\"reason\":\"\"}",
            "{\"host\":\"c\",\"reachable\":true}"),
        cli.out().lines().toList());
    assertEquals("exile: the agent is being stopped\n", cli.err());
    assertEquals(ExitCode.FAILED, cli.exitCode());
  }

  @Test
  void showTellsEverything() {
    agent.report = redis("migrated").build();

    assertEquals(JSON + "\n", exile("show", "m1", "-o", "json").out());
    String text = exile("show", "m1").out();
    for (String part :
        List.of(
            "redis-server (PID 123)",
            "a -> c -> b",
            "40 connections hold a",
            "migrated",
            "210 ms",
            "104.2 MB",
            "freeze",
            "1 held, 2 forwarded")) {
      assertTrue(text.contains(part), "'" + part + "' in " + text);
    }
  }

  @Test
  void cancelSaysWhatHappened() {
    agent.cancel =
        CancelReply.newBuilder().setCancelled(true).setMessage("m1 is cancelled").build();
    Cli done = exile("cancel", "m1");
    assertEquals("m1 is cancelled\n", done.out());
    assertEquals(ExitCode.OK, done.exitCode());

    agent.cancel = CancelReply.newBuilder().setMessage("m1 is past COMMIT").build();
    Cli late = exile("cancel", "m1");
    assertEquals("exile: m1 is past COMMIT\n", late.err());
    assertEquals(ExitCode.FAILED, late.exitCode());
    Cli json = exile("cancel", "m1", "-o", "json");
    assertEquals(
        "{\"id\":\"m1\",\"cancelled\":false,\"message\":\"m1 is past COMMIT\"}\n", json.out());
    assertEquals(ExitCode.FAILED, json.exitCode());
  }

  private static String last(Cli cli) {
    List<String> lines = new ArrayList<>(cli.errLines());
    return lines.get(lines.size() - 1);
  }
}
