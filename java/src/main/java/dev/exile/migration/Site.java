package dev.exile.migration;

import dev.exile.criu.Criu;
import dev.exile.negotiation.FileDigest;
import dev.exile.shim.Shim;
import dev.exile.signals.DeputyServer;
import dev.exile.sockets.Parks;
import java.nio.file.Path;

/**
 * What a migration needs to know of the host that it runs on.
 *
 * @param host its name
 * @param run the agent's run directory
 * @param images where image directories are made
 * @param cellSocket where cells report
 * @param deputies where deputies report
 * @param parks where sockets are parked
 */
public record Site(
    String host,
    Path run,
    Path images,
    Path cellSocket,
    DeputyServer deputies,
    Parks parks,
    Shim shim,
    Criu criu,
    Journal journal,
    Faults faults,
    FileDigest digests) {

  /** Where a migration's pump listens. */
  Path pump(String id) {
    return run.resolve(id + ".pump");
  }

  /** A migration's image directory on this host. */
  Path images(String id) {
    return images.resolve(id);
  }

  /** Where a failed CRIU's log is kept. */
  Path log(String id, String action) {
    return run.resolve("log").resolve(id + "." + action + ".log");
  }
}
