package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.testcontainers.containers.Container.ExecResult;

/** The main job between two containers, whose clients live in a third. */
@ExtendWith(NeedsEngine.class)
class ContainersIT {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MEGABYTES = 20;

  @TempDir private static Path work;

  private static ContainerHosts hosts;

  @BeforeAll
  static void start() throws IOException {
    hosts = ContainerHosts.start(work, List.of("a", "b", "c"));
  }

  @AfterAll
  static void stop() {
    if (hosts != null) {
      hosts.close();
    }
  }

  @Test
  void redisMovesToAnotherContainerWhileItsClientsStayConnected() throws Exception {
    hosts.daemon("a", "redis-server --port 6379 --protected-mode no --save '' --appendonly no");
    Await.until(
        Duration.ofSeconds(20),
        () -> "redis answers in container a",
        () -> hosts.exec("a", "redis-cli", "ping").getStdout().contains("PONG"));
    String before = load("fill").finishUnharmed().path("sha256").asText();
    Workload busy = load("incr", "--connections", 20, "--rate", 50);
    Workload newcomers = load("connect");
    busy.awaitMore("answered", 200);
    String pid = hosts.exec("a", "pidof", "redis-server").getStdout().strip();

    ExecResult moved =
        hosts.exec("a", "exile", "migrate", "redis-server", "--to", "b", "-o", "json");

    assertEquals(0, moved.getExitCode(), () -> moved + hosts.logs());
    JsonNode report = JSON.readTree(moved.getStdout());
    System.out.println("moved between containers: " + report);
    assertEquals("migrated", report.path("outcome").asText());
    assertEquals(pid, report.path("pid").asText());
    assertTrue(report.path("sockets").path("established").asInt() >= 20, report::toString);
    busy.awaitMore("answered", 500);
    newcomers.awaitMore("answered", 50);
    busy.finishUnharmed();
    assertEquals(0, newcomers.finishUnharmed().path("refused").asInt());
    assertEquals(before, load("verify").finishUnharmed().path("sha256").asText());
    assertEquals(1, hosts.running("b", "redis-server"), "copies that run in b");
    assertEquals(0, hosts.running("a", "redis-server"), "copies that run in a");

    hosts.exec("a", "redis-cli", "shutdown", "nosave");

    Await.until(
        Duration.ofSeconds(20),
        () -> "its deputy ends with it: " + hosts.exec("a", "ps", "-ef").getStdout(),
        () -> hosts.exec("a", "kill", "-0", pid).getExitCode() != 0);
    assertEquals(0, hosts.running("b", "redis-server"), "copies that run in b after its end");
  }

  private static Workload load(String mode, Object... options) {
    List<Object> arguments = new java.util.ArrayList<>(List.of("--host", hosts.ip("a"), mode));
    if (mode.equals("fill") || mode.equals("verify")) {
      arguments.addAll(List.of("--megabytes", MEGABYTES));
    }
    arguments.addAll(List.of(options));
    List<String> command = Workload.python("redis_load.py", arguments.toArray());
    return Workload.of(
        "redis_load.py " + mode, Commands.start(Map.of(), hosts.interactive("c", command)));
  }
}
