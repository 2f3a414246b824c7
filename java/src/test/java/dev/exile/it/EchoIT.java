package dev.exile.it;

import org.junit.jupiter.api.Test;

/** Streams in both directions, over IPv4, IPv6 and v4-mapped addresses, to servers with threads. */
@Hosts
class EchoIT {

  @Test
  void jvmWithAnOpenServerSocketMovesUnderLoad(Testbed bed) {
    Daemon server = Servers.javaEcho(bed, "a");
    Workload load = echoLoad(bed, bed.ip("a"));
    load.awaitMore("answered", 500);

    Exile.move(bed, server, "b");

    load.awaitMore("answered", 2000);
    echoLoad(bed, bed.ip("a")).finishUnharmed();
    load.finishUnharmed();
  }

  @Test
  void threadedServerMovesUnderLoad(Testbed bed) {
    Daemon server = Servers.pythonEcho(bed, "a", "0.0.0.0");
    Workload load = echoLoad(bed, bed.ip("a"));
    load.awaitMore("answered", 500);

    Exile.move(bed, server, "b");

    load.awaitMore("answered", 2000);
    load.finishUnharmed();
  }

  @Test
  void ipv6AndMappedIpv4ClientsOfOneListenerStayConnected(Testbed bed) {
    Daemon server = Servers.pythonEcho(bed, "a", "::");
    Workload six = echoLoad(bed, bed.ip6("a"));
    Workload mapped = echoLoad(bed, bed.ip("a"));
    six.awaitMore("answered", 500);
    mapped.awaitMore("answered", 500);

    Exile.move(bed, server, "b");

    echoLoad(bed, bed.ip6("a")).finishUnharmed();
    echoLoad(bed, bed.ip("a")).finishUnharmed();
    six.awaitMore("answered", 1000);
    mapped.awaitMore("answered", 1000);
    six.finishUnharmed();
    mapped.finishUnharmed();
  }

  private static Workload echoLoad(Testbed bed, String address) {
    return Workload.start(
        bed, "c", "echo_load.py", "--host", address, "--connections", 5, "--rate", 100);
  }
}
