package dev.exile.it;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What cannot travel is refused before anything is touched, by its descriptor. */
@Hosts({"a", "b"})
class UnmovableIT {
  private static final Map<String, String> REFUSED =
      Map.of(
          "raw", "a raw socket of protocol 1, which cannot travel",
          "packet", "a packet socket, which cannot travel",
          "netlink", "a netlink socket of protocol 0, which cannot travel",
          "ping", "a ping socket, which cannot travel",
          "bound", "a UDP socket bound to the device lo",
          "device", "the device /dev/net/tun, which stays",
          "uring", "anon_inode:[io_uring], which cannot travel");

  @AfterEach
  void end(Testbed bed) {
    bed.endWorkloads();
  }

  @Test
  void allAreRefusedAtOnceByTheirDescriptors(Testbed bed) throws IOException {
    Path file = Files.createTempDirectory(bed.work(), "unmovable").resolve("process");
    Daemon process = bed.python("a", "unmovable.py", file);
    Path ready = Path.of(file + ".ready");
    Await.until(Duration.ofSeconds(20), () -> ready + " is there", () -> Files.exists(ready));
    List<String> reasons = new ArrayList<>();
    for (String line : Files.readAllLines(ready)) {
      String[] words = line.split(" ", 2);
      reasons.add(
          "descriptor %s of process %d (python3) is %s"
              .formatted(words[1], process.pid(), REFUSED.get(words[0])));
    }
    assertEquals(REFUSED.size(), reasons.size());

    Exile.migrate(bed, "a", process.pid(), "b")
        .assertFails("refused", reasons.toArray(String[]::new));
  }
}
