package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class FeltTest {
  private static final long MS = 1_000_000;

  private final FeltConnection connection = new FeltConnection("10.0.0.1:4711");

  private Felt.Connection at(long millis) {
    return connection.snapshot(millis * MS);
  }

  @Test
  void waitLastsFromTheFirstByteToTheFirstAnswer() {
    connection.arrived(100 * MS);
    connection.arrived(150 * MS);
    connection.opened(1000, 1030, 300 * MS);
    connection.sent(30);
    assertEquals(210, at(310).waitMillis());
    connection.delivered(1029, 320 * MS);
    connection.delivered(1030, 340 * MS);
    connection.answered(7, 350 * MS);
    connection.answered(5, 360 * MS);
    connection.opened(1030, 1129, 400 * MS);

    assertEquals(new Felt.Connection("10.0.0.1:4711", 30, 250, 42, false), at(5000));
  }

  @Test
  void whatIsNotAnsweredWaitedUntilTheProcessHadIt() {
    connection.arrived(100 * MS);
    connection.opened(0, 30, 300 * MS);
    connection.delivered(30, 340 * MS);
    assertEquals(240, at(900).waitMillis());
    connection.answered(5, 1341 * MS);

    assertEquals(240, at(5000).waitMillis());
  }

  @Test
  void answerThatWasOwedAtTheFreezeCountsWhereItComesSoon() {
    connection.arrived(100 * MS);
    connection.opened(0, 0, 300 * MS);
    assertEquals(0, at(310).waitMillis());
    connection.answered(5, 350 * MS);

    assertEquals(250, at(5000).waitMillis());
  }

  @Test
  void answerThatWasOwedAndDidNotComeIsNoWait() {
    connection.arrived(100 * MS);
    connection.opened(0, 0, 300 * MS);
    connection.answered(5, 1301 * MS);

    assertEquals(0, at(5000).waitMillis());
  }

  @Test
  void whatTheDestinationHadBeforeDidNotWait() {
    connection.arrived(100 * MS);
    connection.opened(1030, 1030, 300 * MS);

    assertEquals(new Felt.Connection("10.0.0.1:4711", 0, 0, 0, false), at(5000));
  }

  @Test
  void connectionThatIsOverWaitsNoLonger() {
    connection.arrived(100 * MS);
    connection.opened(0, 30, 300 * MS);
    connection.ended(340 * MS);
    connection.answered(5, 500 * MS);

    assertEquals(240, at(5000).waitMillis());
  }

  @Test
  void connectionThatIsResetWaitsNoLonger() {
    connection.arrived(100 * MS);
    connection.opened(0, 30, 300 * MS);
    connection.wasReset(340 * MS);
    connection.ended(900 * MS);

    assertEquals(new Felt.Connection("10.0.0.1:4711", 30, 240, 0, true), at(5000));
  }

  @Test
  void connectionThatTheDestinationRefusesWaitedUntilThen() {
    connection.arrived(100 * MS);
    connection.wasReset(340 * MS);

    assertEquals(240, at(5000).waitMillis());
  }

  @Test
  void connectionThatWasOverBeforeTheRelayBeganDidNotWait() {
    connection.arrived(100 * MS);
    connection.ended(340 * MS);

    assertEquals(0, at(5000).waitMillis());
  }

  @Test
  void clientOfWhichNothingCameDidNotWait() {
    connection.opened(0, 0, 300 * MS);
    connection.answered(5, 310 * MS);
    connection.wasReset(320 * MS);

    assertEquals(new Felt.Connection("10.0.0.1:4711", 0, 0, 5, true), at(5000));
  }

  @Test
  void figuresOverAllAreOfThoseThatWaited() {
    List<FeltConnection> all = new ArrayList<>();
    for (int i = 0; i < 250; i++) {
      FeltConnection one = new FeltConnection("c" + i);
      if (i < 200) {
        one.arrived(0);
      }
      one.opened(0, i < 200 ? 1 : 0, 0);
      one.answered(1, (i + 1) * MS);
      all.add(one);
    }
    all.get(3).wasReset(900 * MS);

    Felt felt = Felt.of(all, 1000 * MS);

    assertEquals(250, felt.connections());
    assertEquals(200, felt.waited());
    assertEquals(100, felt.medianMillis());
    assertEquals(198, felt.p99Millis());
    assertEquals(200, felt.worstMillis());
    assertEquals(1, felt.resets());
    assertEquals(100, felt.worst().size());
    assertEquals("c199", felt.worst().get(0).client());
    assertEquals(Felt.NOTHING, Felt.of(List.of(), 0));
  }
}
