package dev.exile.it;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A process with connections in every state that TCP has, and with every kind of call on its way,
 * moves: each connection goes on as if nothing had been, to the byte. The cases are those of
 * tcp_states.py.
 */
@Hosts
class TcpStatesIT {

  /** On the second address all connections are v4-mapped. */
  @ParameterizedTest
  @ValueSource(strings = {"0.0.0.0", "::"})
  void connectionsInEveryStateGoOn(String address, Testbed bed) {
    Daemon server = Servers.tcpStates(bed, "a", address);
    Workload states =
        Workload.start(bed, "c", "tcp_states_load.py", "--host", bed.ip("a"), "--own", bed.ip("c"));

    Exile.move(bed, server, "b");

    states.finishUnharmed();
  }
}
