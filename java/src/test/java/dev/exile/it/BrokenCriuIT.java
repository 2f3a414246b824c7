package dev.exile.it;

import org.junit.jupiter.api.Test;

/** A CRIU that cannot work is found before anything is frozen. */
@Hosts(
    value = {"a", "b", "c"},
    config = {"b=criu: /bin/false", "c=criu: /bin/false"})
class BrokenCriuIT {

  @Test
  void atTheDestination(Testbed bed) {
    Daemon process = bed.daemon("a", "sleep", "1000");
    Exile.migrate(bed, "a", process.pid(), "b").assertFails("refused", "/bin/false");
    process.assertRunsOnlyOn("a");
  }

  @Test
  void atHome(Testbed bed) {
    Daemon process = bed.daemon("c", "sleep", "1000");
    Exile.migrate(bed, "c", process.pid(), "a").assertFails("refused", "/bin/false");
    process.assertRunsOnlyOn("c");
  }
}
