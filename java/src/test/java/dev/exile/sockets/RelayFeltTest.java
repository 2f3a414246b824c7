package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** What is told of clients whose connections end, or have ended, about a move. */
class RelayFeltTest extends RelayCase {
  /** Its bytes lie at home until the destination has acknowledged them, a little later. */
  @Test
  void aClientThatHadItsAnswerBeforeTheMoveDidNotWait() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      pingPong(relayed.client(), relayed.process());

      fixture.pause();
      relayed.client().shutdownOutput();
      Thread.sleep(20);
      fixture.resume();

      assertEquals("", readAll(relayed.process()));
      relayed.process().shutdownOutput();
      awaitNoneOpen();
      Felt felt = fixture.home.felt();
      assertEquals(1, felt.connections(), felt::toString);
      assertEquals(0, felt.waited(), felt::toString);
      assertEquals(0, felt.resets(), felt::toString);
    }
  }

  @Test
  void bytesThatCameInExileWaitedUntilTheProcessHadThem() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      for (int i = 0; i < 10; i++) {
        pingPong(relayed.client(), relayed.process());
      }
      while (FrozenSockets.waiting(relayed.frozen()) > 0) {
        Thread.sleep(5);
      }

      fixture.pause();
      write(relayed.client(), "late");
      awaitWaiting(relayed);
      Thread.sleep(200);
      fixture.resume();

      assertEquals("late", read(relayed.process(), 4));
      write(relayed.process(), "answer");
      assertEquals("answer", read(relayed.client(), 6));
      Felt.Connection one = fixture.home.felt().worst().get(0);
      assertEquals(4, one.bytesWaited(), one::toString);
      assertTrue(one.waitMillis() > 150, one::toString);
    }
  }

  @Test
  void aClientWhoseConnectionIsResetWaitsNoLonger() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      pingPong(relayed.client(), relayed.process());

      fixture.pause();
      write(relayed.client(), "never heard");
      reset(relayed.process());
      Thread.sleep(50);
      fixture.resume();

      assertReset(relayed.client());
      awaitNoneOpen();
      assertWaitedAndWasReset(fixture.home.felt());
    }
  }

  @Test
  void aClientThatTheDestinationRefusesWaitsNoLonger() throws Exception {
    try (RelayFixture.Relayed unknown = fixture.existing(1)) {
      write(unknown.client(), "never heard");
      awaitWaiting(unknown);
      fixture.destination.seal();
      fixture.start();

      assertReset(unknown.client());
      awaitNoneOpen();
      assertWaitedAndWasReset(fixture.home.felt());
    }
  }

  private void assertWaitedAndWasReset(Felt felt) throws InterruptedException {
    assertEquals(1, felt.waited(), felt::toString);
    assertEquals(1, felt.resets(), felt::toString);
    Thread.sleep(50);
    assertEquals(felt, fixture.home.felt());
  }
}
