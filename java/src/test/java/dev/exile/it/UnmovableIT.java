package dev.exile.it;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What cannot travel is refused before anything is touched, by its descriptor. */
@Hosts({"a", "b"})
class UnmovableIT {
  private static final Map<String, String> REFUSED =
      new LinkedHashMap<>(
          Map.of(
              "raw", "a raw socket of protocol 1, which cannot travel",
              "packet", "a packet socket, which cannot travel",
              "netlink", "a netlink socket of protocol 0, which cannot travel",
              "ping", "a ping socket, which cannot travel",
              "bound", "a UDP socket bound to the device lo",
              "device", "the device /dev/net/tun, which stays",
              "uring", "anon_inode:[io_uring], which cannot travel"));

  @AfterEach
  void end(Testbed bed) {
    bed.endWorkloads();
  }

  @Test
  void eachIsRefusedByItsDescriptor(Testbed bed) throws IOException {
    Path folder = Files.createTempDirectory(bed.work(), "unmovable");
    for (Map.Entry<String, String> refused : REFUSED.entrySet()) {
      Path file = folder.resolve(refused.getKey());
      Daemon process = bed.python("a", "unmovable.py", file, refused.getKey());
      Path ready = Path.of(file + ".ready");
      Await.until(
          Duration.ofSeconds(20), () -> refused.getKey() + " is ready", () -> Files.exists(ready));

      Exile.migrate(bed, "a", process.pid(), "b")
          .assertFails(
              "refused",
              "descriptor %s of process %d (python3) is %s"
                  .formatted(Files.readString(ready).strip(), process.pid(), refused.getValue()));
    }
  }
}
