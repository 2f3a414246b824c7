package dev.exile.it;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/**
 * After a move either agent is killed, again and again, while connections are busy: all go on, no
 * byte is lost or doubled, none is reset.
 */
@Hosts({"a", "b", "c"})
class AgentDeathIT {
  private static final int ROUNDS = Integer.getInteger("exile.it.deaths", 2);

  @Test
  void busyConnectionsGoOnWhenAgentsAreKilledAndStartedAgain(Testbed bed)
      throws InterruptedException {
    Daemon server = Servers.pythonEcho(bed, "a", "0.0.0.0");
    Workload old = load(bed, 25);
    old.awaitMore("answered", 500);
    Exile.move(bed, server, "b");
    Workload since = load(bed, 25);
    since.awaitMore("answered", 500);

    for (int round = 0; round < ROUNDS; round++) {
      for (String host : List.of("a", "b")) {
        bed.agentStop(host, "KILL");
        TimeUnit.MILLISECONDS.sleep(50L * round);
        bed.agentStart(host);
        old.awaitMore("answered", 300);
        since.awaitMore("answered", 300);
      }
    }

    load(bed, 5).finishUnharmed();
    old.finishUnharmed();
    since.finishUnharmed();
    server.assertRunsOnlyOn("b");
  }

  @Test
  void bothAgentsMayBeAwayAtOnceAndConnectionsWait(Testbed bed) {
    Daemon server = Servers.pythonEcho(bed, "a", "0.0.0.0");
    Workload old = load(bed, 20);
    old.awaitMore("answered", 500);
    Exile.move(bed, server, "b");

    bed.agentStop("a", "KILL");
    bed.agentStop("b", "KILL");
    bed.agentStart("b");
    bed.agentStart("a");
    old.awaitMore("answered", 500);
    bed.agentStop("b", "TERM");
    bed.agentStop("a", "TERM");
    bed.agentStart("a");
    bed.agentStart("b");
    old.awaitMore("answered", 500);

    old.finishUnharmed();
    server.kill();
    Await.until(
        Duration.ofSeconds(20),
        () -> "no copy: " + server.copies("a") + server.copies("b"),
        () -> server.copies("a").isEmpty() && server.copies("b").isEmpty());
  }

  private static Workload load(Testbed bed, int connections) {
    return Workload.start(
        bed,
        "c",
        "echo_load.py",
        "--host",
        bed.ip("a"),
        "--connections",
        connections,
        "--rate",
        20,
        "--seconds",
        300 + 60 * ROUNDS);
  }
}
