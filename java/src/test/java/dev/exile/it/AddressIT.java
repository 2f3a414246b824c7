package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** At the destination a process sees the addresses that it saw at home, and is reached at them. */
@Hosts
class AddressIT {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration SOON = Duration.ofSeconds(20);

  /** Clients of IPv4 and IPv6; the wildcards, both at once, and home's own addresses only. */
  @ParameterizedTest
  @CsvSource({"0.0.0.0, 4", "::, 46", "own4, 4", "own6, 6"})
  void theProcessSeesItsClientsAtTheirOwnAddresses(String listens, String clients, Testbed bed) {
    String address =
        switch (listens) {
          case "own4" -> bed.ip("a");
          case "own6" -> bed.ip6("a");
          default -> listens;
        };
    Daemon server = Servers.mirror(bed, "a", address);
    List<String> targets =
        clients.chars().mapToObj(version -> version == '6' ? bed.ip6("a") : bed.ip("a")).toList();
    List<Workload> kept =
        targets.stream().map(target -> load(bed, "c", target, "kept", "--connections", 4)).toList();
    kept.forEach(load -> load.awaitMore("answered", 20));

    Exile.move(bed, server, "b");

    List<Workload> since = targets.stream().map(target -> load(bed, "c", target, "new")).toList();
    since.forEach(load -> load.awaitMore("answered", 20));
    kept.forEach(load -> load.awaitMore("answered", 100));
    since.forEach(Workload::finishUnharmed);
    kept.forEach(Workload::finishUnharmed);
  }

  /** Home's own loopback, and clients at the destination, whose addresses are taken there. */
  @Test
  void clientsAtBothHostsAreServed(Testbed bed) {
    Daemon server = Servers.mirror(bed, "a", "0.0.0.0");
    Workload local = load(bed, "a", "127.0.0.1", "kept");
    Workload near = load(bed, "b", bed.ip("a"), "kept", "--any-port");
    local.awaitMore("answered", 20);
    near.awaitMore("answered", 20);

    Exile.move(bed, server, "b");

    Workload localSince = load(bed, "a", "127.0.0.1", "new");
    Workload nearSince = load(bed, "b", bed.ip("a"), "new", "--any-port");
    local.awaitMore("answered", 20);
    near.awaitMore("answered", 20);
    localSince.awaitMore("answered", 20);
    nearSince.awaitMore("answered", 20);
    local.finishUnharmed();
    near.finishUnharmed();
    localSince.finishUnharmed();
    nearSince.finishUnharmed();
  }

  @Test
  void eachOfThreeListenersOfOnePortGetsConnections(Testbed bed) {
    Daemon server = Servers.mirror(bed, "a", "0.0.0.0", 3);
    Workload kept = load(bed, "c", bed.ip("a"), "kept", "--connections", 12);
    kept.awaitMore("answered", 50);

    Exile.move(bed, server, "b");

    Workload since = load(bed, "c", bed.ip("a"), "new", "--connections", 4);
    since.awaitMore("answered", 100);
    JsonNode workers = since.finishUnharmed().path("workers");
    assertEquals(3, workers.size(), workers::toString);
    kept.awaitMore("answered", 100);
    kept.finishUnharmed();
  }

  /** A listener that was not there when the process came is no worse than one that was. */
  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0", "::"})
  void clientsReachAListenerThatIsOpenedAnew(String listens, Testbed bed) {
    Daemon server = Servers.mirror(bed, "a", listens);
    Workload kept = load(bed, "c", bed.ip("a"), "kept");
    kept.awaitMore("answered", 20);

    Exile.move(bed, server, "b");

    Workload since = load(bed, "c", bed.ip("a"), "new", "--reopen");
    since.awaitMore("answered", 20);
    kept.awaitMore("answered", 20);
    since.finishUnharmed();
    kept.finishUnharmed();
  }

  /** Each sees its own true address; both of the same two cannot be had at one host. */
  @Test
  void connectionsWithinTheTreeGoOn(Testbed bed) {
    Path result = bed.work().resolve("within.json");
    Daemon server = bed.python("a", "within.py", bed.ip("a"), result);
    Await.until(SOON, () -> "they talk: " + json(result), () -> count(result) > 20);
    JsonNode before = json(result);

    Exile.move(bed, server, "b");

    long moved = count(result);
    Await.until(SOON, () -> "they go on: " + json(result), () -> count(result) > moved + 100);
    assertEquals("", json(result).path("error").asText());
    assertEquals(before.path("own"), json(result).path("own"));
  }

  private static long count(Path result) {
    return json(result).path("count").asLong();
  }

  private static JsonNode json(Path file) {
    try {
      return file.toFile().length() > 0 ? JSON.readTree(file.toFile()) : MissingNode.getInstance();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void redisListsItsRealClients(Testbed bed) {
    Daemon redis = Servers.redis(bed, "a");
    Workload kept = Workload.redis(bed, "c", "a", "incr", "--connections", 5);
    kept.awaitMore("answered", 50);
    List<String> before = clients(bed, "a");

    Exile.move(bed, redis, "b");

    Workload since = Workload.redis(bed, "c", "a", "incr", "--key", "since");
    since.awaitMore("answered", 50);
    List<String> now = clients(bed, "a");
    assertTrue(now.containsAll(before), () -> before + " are not all among " + now);
    assertEquals(6, now.size(), now::toString);
    kept.finishUnharmed();
    since.finishUnharmed();
  }

  /** What redis tells of its clients on c: their addresses and its own. */
  private static List<String> clients(Testbed bed, String server) {
    return bed.exec(server, "redis-cli", "client", "list")
        .orFail()
        .out()
        .lines()
        .filter(line -> line.contains(" addr=" + bed.ip("c") + ":"))
        .map(line -> line.replaceAll(".*( addr=\\S+ laddr=\\S+).*", "$1"))
        .sorted()
        .toList();
  }

  @Test
  void nginxLogsItsRealClients(Testbed bed) throws IOException {
    Path log = bed.work().resolve("nginx/access.log");
    Daemon nginx = Servers.nginx(bed, "a");
    Workload kept = httpLoad(bed);
    kept.awaitMore("answered", 20);

    Exile.move(bed, nginx, "b");

    Files.writeString(log, "");
    Workload since = httpLoad(bed);
    since.awaitMore("answered", 20);
    kept.awaitMore("answered", 20);
    kept.finishUnharmed();
    since.finishUnharmed();
    Await.until(SOON, () -> "nginx writes its log", () -> log.toFile().length() > 0);
    List<String> seen =
        Files.readAllLines(log).stream().map(line -> line.split(" ", 2)[0]).distinct().toList();
    assertEquals(List.of(bed.ip("c")), seen);
  }

  private static Workload httpLoad(Testbed bed) {
    return Workload.start(
        bed, "c", "http_load.py", "--host", bed.ip("a"), "--port", Servers.NGINX_PORT, "get");
  }

  private static Workload load(
      Testbed bed, String host, String server, String mode, Object... options) {
    List<Object> arguments = new java.util.ArrayList<>(List.of("--host", server, mode));
    arguments.addAll(List.of(options));
    return Workload.start(bed, host, "mirror_load.py", arguments.toArray());
  }
}
