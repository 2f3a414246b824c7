package dev.exile.it;

import org.junit.jupiter.api.Test;

@Hosts
class MemcachedIT {

  @Test
  void movesUnderLoad(Testbed bed) {
    Daemon memcached = Servers.memcached(bed, "a");
    Workload load =
        Workload.start(
            bed,
            "c",
            "memcached_load.py",
            "--host",
            bed.ip("a"),
            "--connections",
            10,
            "--rate",
            60);
    load.awaitMore("answered", 500);

    Exile.move(bed, memcached, "b");

    load.awaitMore("answered", 2000);
    load.finishUnharmed();
  }
}
