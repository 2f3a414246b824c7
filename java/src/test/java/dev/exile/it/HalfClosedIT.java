package dev.exile.it;

import org.junit.jupiter.api.Test;

@Hosts
class HalfClosedIT {

  @Test
  void streamGoesOnWhereTheClientHasEndedItsDirection(Testbed bed) {
    Daemon server = Servers.seeded(bed, "a", "0.0.0.0");
    Workload load = halfLoad(bed, "client-ended", "--megabytes", 30);
    load.awaitMore("bytes", 1 << 20);

    Exile.move(bed, server, "b");

    load.finishUnharmed();
  }

  @Test
  void uploadGoesOnWhereTheServerHasEndedItsDirection(Testbed bed) {
    Daemon server = Servers.seeded(bed, "a", "0.0.0.0");
    Workload load = halfLoad(bed, "server-ended");
    load.awaitMore("bytes", 1 << 20);

    Exile.move(bed, server, "b");

    load.awaitMore("bytes", 10 << 20);
    load.finishUnharmed();
  }

  private static Workload halfLoad(Testbed bed, String mode, Object... options) {
    java.util.List<Object> arguments =
        new java.util.ArrayList<>(
            java.util.List.of("--host", bed.ip("a"), "--connections", 2, mode));
    arguments.addAll(java.util.List.of(options));
    return Workload.start(bed, "c", "half_load.py", arguments.toArray());
  }
}
