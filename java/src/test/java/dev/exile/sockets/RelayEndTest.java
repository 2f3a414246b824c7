package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/** Connections that end, in order or by a reset, end so at the other side. */
class RelayEndTest extends RelayCase {
  @Test
  void theProcessMayFinishFirstAndStillReceive() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      write(relayed.process(), "bye");
      relayed.process().shutdownOutput();
      assertEquals("bye", readAll(relayed.client()));
      write(relayed.client(), "still here");
      relayed.client().shutdownOutput();
      assertEquals("still here", readAll(relayed.process()));
    }
    awaitNoneOpen();
    assertEquals(0, fixture.home.stats().resets());
  }

  @Test
  void aClientsResetReachesTheProcess() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      pingPong(relayed.client(), relayed.process());
      reset(relayed.client());
      assertReset(relayed.process());
    }
    awaitNoneOpen();
  }

  @Test
  void theProcesssResetReachesTheClient() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      pingPong(relayed.client(), relayed.process());
      reset(relayed.process());
      assertReset(relayed.client());
    }
    awaitNoneOpen();
  }

  @Test
  void bytesBeforeAResetAreDelivered() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      // Unread input makes the kernel send RST instead of FIN when the process ends.
      write(relayed.client(), "unread");
      awaitUnread(relayed.process());
      write(relayed.process(), "answer");
      relayed.process().close();
      ByteBuffer buffer = ByteBuffer.allocate(16);
      relayed.client().read(buffer);
      assertEquals(
          "answer", new String(buffer.array(), 0, buffer.position(), StandardCharsets.UTF_8));
      assertReset(relayed.client());
    }
  }

  @Test
  void aResetIsNoticedOnAHalfClosedIdleConnection() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      relayed.client().shutdownOutput();
      assertEquals("", readAll(relayed.process()));
      reset(relayed.client());
      awaitNoneOpen();
      assertEquals(1, fixture.home.stats().resets());
      awaitWriteFails(relayed.process());
    }
  }

  @Test
  void anErrorThatHappenedDuringTheFreezeReachesTheProcess() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      write(relayed.client(), "last words");
      awaitWaiting(relayed);
      reset(relayed.client());
      Thread.sleep(50);
      fixture.start();
      ByteBuffer buffer = ByteBuffer.allocate(16);
      assertEquals(10, relayed.process().read(buffer));
      assertReset(relayed.process());
    }
  }

  @Test
  void aHalfCloseThatHappenedDuringTheFreezeReachesTheProcess() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      write(relayed.client(), "last words");
      relayed.client().shutdownOutput();
      Thread.sleep(50);
      fixture.start();
      assertEquals("last words", readAll(relayed.process()));
      write(relayed.process(), "answer");
      relayed.process().close();
      assertEquals("answer", readAll(relayed.client()));
    }
    awaitNoneOpen();
    assertEquals(0, fixture.home.stats().resets());
  }

  @Test
  void anEndWithoutBytesWaitsForTheProcesssSocketToo() throws Exception {
    RelayFixture.Relayed existing = fixture.existing(1);
    existing.client().shutdownOutput();
    fixture.start();
    Thread.sleep(100);
    try (RelayFixture.Relayed relayed = fixture.restored(1, existing)) {
      assertEquals("", readAll(relayed.process()));
    }
  }

  @Test
  void aRefusedConnectionAtTheProcessResetsTheClient() throws Exception {
    InetSocketAddress nobody;
    try (ServerSocketChannel unused = ServerSocketChannel.open()) {
      nobody =
          (InetSocketAddress)
              unused
                  .bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0))
                  .getLocalAddress();
    }
    fixture.home.adoptListener("5", fixture.frozen.duplicateListener());
    fixture.destination.listener("5", nobody);
    fixture.start();
    try (SocketChannel client = SocketChannel.open(fixture.frozen.address())) {
      assertReset(client);
    }
  }

  @Test
  void theEndOfTheRelayDeliversWhatIsInFlightAndEndsTheListener() throws Exception {
    fixture.home.adoptListener("5", fixture.frozen.duplicateListener());
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      Future<Long> received =
          run(
              () -> {
                long sum = Traffic.receive(relayed.client());
                relayed.client().close();
                return sum;
              });
      long sent = Traffic.send(relayed.process(), 32L << 20, 3);
      relayed.process().close();
      fixture.home.close(Duration.ofSeconds(10));
      assertEquals(sent, received.get());
      assertEquals(0, fixture.home.stats().resets());
      assertTrue(isRefused(fixture.frozen.address()));
    }
  }

  @Test
  void theEndWithoutGraceResetsAllConnections() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      pingPong(relayed.client(), relayed.process());
      fixture.home.close();
      assertReset(relayed.client());
      assertReset(relayed.process());
    }
  }
}
