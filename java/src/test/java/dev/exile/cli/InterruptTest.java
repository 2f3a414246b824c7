package dev.exile.cli;

import static dev.exile.cli.FakeAgent.progress;
import static dev.exile.cli.FakeAgent.redis;
import static dev.exile.cli.FakeAgent.result;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.rpc.control.CancelReply;
import dev.exile.rpc.control.MigrateEvent;
import io.grpc.stub.StreamObserver;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Real signals to a real CLI process, which follows a migration of the fake agent. */
@Timeout(60)
class InterruptTest {
  @TempDir private Path temp;
  private FakeAgent agent;
  private Process cli;
  private final CompletableFuture<StreamObserver<MigrateEvent>> begun = new CompletableFuture<>();

  @BeforeEach
  void start() throws Exception {
    Path socket = temp.resolve("agent.sock");
    agent = new FakeAgent(socket);
    agent.cancel = CancelReply.newBuilder().setCancelled(true).setMessage("cancelled").build();
    agent.onMigrate =
        (request, events) -> {
          events.onNext(progress("transfer", 0, 0));
          begun.complete(events);
        };
    cli =
        new ProcessBuilder(
                System.getProperty("java.home") + "/bin/java",
                "-cp",
                System.getProperty("java.class.path"),
                "dev.exile.cli.Main",
                "migrate",
                "123",
                "--to",
                "b",
                "--socket",
                socket.toString())
            .redirectOutput(file("out"))
            .redirectError(file("err"))
            .start();
    begun.get();
    await("m1: transfer"); // by now it listens for signals
  }

  @AfterEach
  void stop() throws InterruptedException {
    cli.destroyForcibly().waitFor();
    agent.close();
  }

  private File file(String name) {
    return temp.resolve(name).toFile();
  }

  private String err() throws Exception {
    return Files.readString(temp.resolve("err"));
  }

  private void await(String words) throws Exception {
    while (!err().contains(words)) {
      assertTrue(cli.isAlive(), err());
      Thread.sleep(10);
    }
  }

  private void signal(String name) throws Exception {
    List<String> kill = List.of("kill", "-" + name, Long.toString(cli.pid()));
    assertEquals(0, new ProcessBuilder(kill).inheritIO().start().waitFor());
  }

  @ParameterizedTest
  @ValueSource(strings = {"INT", "TERM"})
  void aSignalCancelsAndWaitsForTheRollback(String name) throws Exception {
    signal(name);
    assertEquals("m1", agent.cancelled.get(10, TimeUnit.SECONDS));
    begun.get().onNext(result(redis("rolled-back").setReason("cancelled by the operator")));
    begun.get().onCompleted();

    assertEquals(ExitCode.FAILED, cli.waitFor());
    assertTrue(
        err().endsWith("rolled back: cancelled by the operator; PID 123 runs on at a\n"), err());
  }

  @Test
  void pastThePointOfNoReturnASignalWaitsForTheEnd() throws Exception {
    agent.cancel = CancelReply.newBuilder().setMessage("m1 is past COMMIT").build();
    signal("INT");
    await("not cancelled: m1 is past COMMIT");
    begun.get().onNext(result(redis("migrated")));
    begun.get().onCompleted();

    assertEquals(ExitCode.OK, cli.waitFor());
    assertTrue(Files.readString(temp.resolve("out")).contains("runs on b"));
  }

  @Test
  void aSecondSignalLeavesAtOnceAndDropsTheCall() throws Exception {
    signal("INT");
    await("cancelling");
    signal("INT");

    assertEquals(ExitCode.IN_DOUBT, cli.waitFor());
    assertTrue(err().contains("exile show m1 tells how it ended"), err());
    assertTrue(agent.dropped.await(10, TimeUnit.SECONDS));
  }

  @Test
  void aKilledCliDropsTheCall() throws Exception {
    signal("KILL");

    assertTrue(agent.dropped.await(10, TimeUnit.SECONDS));
    assertFalse(agent.cancelled.isDone());
  }
}
