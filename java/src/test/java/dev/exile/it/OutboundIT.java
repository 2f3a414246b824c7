package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A process that is itself a client, of a server on c, moves in mid-transfer. */
@Hosts
class OutboundIT {
  private static final int MEGABYTES = 40;

  /** MB/s until the move is over, so that the transfer outlasts it on a busy machine too. */
  private static final int SLOW = 1;

  @ParameterizedTest
  @CsvSource({"down, 4", "up, 4", "down, 6", "up, 6"})
  void transferEndsWithTheRightDigest(String direction, int version, Testbed bed)
      throws IOException {
    boolean six = version == 6;
    Servers.seeded(bed, "c", six ? "::" : "0.0.0.0");
    Path result = bed.work().resolve(direction + version);
    Path started = Path.of(result + ".started");
    Daemon client =
        bed.python(
            "a",
            "outbound.py",
            direction,
            six ? bed.ip6("c") : bed.ip("c"),
            Servers.SEEDED_PORT,
            MEGABYTES,
            SLOW,
            result);
    Await.until(Duration.ofSeconds(20), () -> "transfer begins", () -> Files.exists(started));

    Exile.move(bed, client, "b");

    assertFalse(Files.exists(result), "the transfer was over too early");
    Files.createFile(Path.of(result + ".hurry"));
    Await.until(Duration.ofSeconds(40), () -> "transfer ends", () -> Files.exists(result));
    JsonNode report = new ObjectMapper().readTree(result.toFile());
    assertEquals("", report.path("error").asText());
    assertEquals(MEGABYTES << 20, report.path("bytes").asLong());
    assertEquals(report.path("expected").asText(), report.path("sha256").asText());
  }
}
