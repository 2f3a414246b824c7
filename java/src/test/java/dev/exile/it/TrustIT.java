package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Strangers, from a third host, at both ports of an agent. */
@Hosts
class TrustIT {
  private static final Path EXILE =
      Path.of(
          System.getenv()
              .getOrDefault("EXILE_BIN", Testbed.ROOT.resolve("scripts/exile").toString()));
  private static final Duration LIMIT = Duration.ofSeconds(10);

  @ParameterizedTest
  @CsvSource({
    "another CA, 7433",
    "another CA, 7434",
    "no certificate, 7433",
    "no certificate, 7434",
    "wrong name, 7433",
    "wrong name, 7434",
  })
  void isRefusedAndLogged(String kind, int port, Testbed bed) {
    int logged = bed.agentLog("b").length();

    String answer = knock(bed, port, keys(kind, bed));

    assertTrue(answer.startsWith("refused"), kind + " at " + port + ": " + answer);
    Await.until(
        LIMIT,
        () -> "a line in the log of b: " + bed.agentLog("b").substring(logged),
        () -> bed.agentLog("b").substring(logged).contains(bed.ip("c")));
    assertEquals(List.of(), bed.leftovers());
  }

  @Test
  void peerWithItsOwnKeysIsLetIn(Testbed bed) {
    assertEquals("kept", knock(bed, 7433, List.of(issued(bed.keys(), "c", bed))));
  }

  private static String knock(Testbed bed, int port, List<Path> keys) {
    List<Object> arguments = new ArrayList<>(List.of(bed.ip("b"), port));
    keys.forEach(folder -> arguments.add(folder.resolve("host.crt")));
    keys.forEach(folder -> arguments.add(folder.resolve("host.key")));
    List<String> command = Workload.python("tls_stranger.py", arguments.toArray());
    return bed.exec("c", command.toArray(String[]::new)).orFail().out().strip();
  }

  /** The directory with a stranger's keys, if it has any. */
  private static List<Path> keys(String kind, Testbed bed) {
    return switch (kind) {
      case "another CA" -> {
        Path other = bed.work().resolve("other-ca");
        if (!Files.exists(other)) {
          exile("keys", "init", other.toString());
        }
        yield List.of(issued(other, "c", bed));
      }
      case "wrong name" -> List.of(issued(bed.keys(), "stranger", bed));
      default -> List.of();
    };
  }

  /** A host's keys, where the hosts see them too: their /run is their own. */
  private static Path issued(Path authority, String name, Testbed bed) {
    Path keys = authority.resolve(name);
    if (!Files.exists(keys)) {
      exile("keys", "issue", authority.toString(), name, "--address", bed.ip("c"));
    }
    Path seen = bed.work().resolve(authority.getFileName() + "-" + name);
    Commands.run(Map.of(), List.of("cp", "-rT", keys.toString(), seen.toString())).orFail();
    return seen;
  }

  private static void exile(String... arguments) {
    List<String> command = new ArrayList<>(List.of(EXILE.toString()));
    command.addAll(List.of(arguments));
    Commands.run(Map.of(), command).orFail();
  }
}
