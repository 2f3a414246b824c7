package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** Bytes pass the relay, both ways, for old connections and for new ones. */
class RelayTest extends RelayCase {
  @Test
  void bytesArriveInOrderBothWaysAndHalfClosesTravelBothWays() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      fixture.start();
      long length = 64L << 20;
      Future<Long> atProcess = run(() -> Traffic.receive(relayed.process()));
      Future<Long> atClient = run(() -> Traffic.receive(relayed.client()));
      Future<Long> fromProcess = run(() -> Traffic.send(relayed.process(), length, 7));
      long fromClient = Traffic.send(relayed.client(), length, 8);
      relayed.client().shutdownOutput();
      assertEquals(fromClient, atProcess.get());
      long sent = fromProcess.get();
      assertFalse(atClient.isDone(), "the client's half-close closed the other direction too");
      relayed.process().shutdownOutput();
      assertEquals(sent, atClient.get());
    }
    awaitNoneOpen();
    assertEquals(0, fixture.home.stats().resets());
    assertEquals(64L << 20, fixture.home.stats().bytesToProcess());
    assertEquals(64L << 20, fixture.destination.stats().bytesFromProcess());
  }

  @Test
  void aSlowReaderIsPushedBackAndHoldsUpNobody() throws Exception {
    try (RelayFixture.Relayed slow = fixture.connection(1);
        RelayFixture.Relayed fast = fixture.connection(2)) {
      fixture.start();
      AtomicLong absorbed = new AtomicLong();
      Future<Long> blocked = run(() -> Traffic.send(slow.client(), 256L << 20, 1, absorbed));
      awaitStall(absorbed);
      Future<Long> received = run(() -> Traffic.receive(fast.process()));
      long begin = System.nanoTime();
      long sent = Traffic.send(fast.client(), 64L << 20, 2);
      fast.client().shutdownOutput();
      assertEquals(sent, received.get());
      long millis = Duration.ofNanos(System.nanoTime() - begin).toMillis();
      assertTrue(millis < 10_000, "64 MB beside a slow reader took " + millis + " ms");
      // What was taken in beyond the kernel's own buffers is bounded by the window and the
      // watermark.
      long relayed = fixture.home.stats().bytesToProcess() - (64L << 20);
      long atProcess = fixture.destination.stats().bytesToProcess() - (64L << 20);
      long bound = Tuning.STREAM_HIGH + Tuning.READ_CHUNK + Tuning.STREAM_WINDOW;
      long inHome = relayed - atProcess;
      assertTrue(inHome <= bound, inHome + " bytes are held between the hosts, bound " + bound);
      long inKernel = FrozenSockets.unread(slow.process());
      long held = atProcess - inKernel;
      assertTrue(held <= bound + (8L << 20), held + " bytes are held at the destination");
      assertFalse(blocked.isDone());
      Future<Long> atLast = run(() -> Traffic.receive(slow.process()));
      long all = blocked.get();
      slow.client().shutdownOutput();
      assertEquals(all, atLast.get());
    }
  }

  @Test
  void nothingIsTouchedBeforeTheStartAndAbandonLeavesItSo() throws Exception {
    try (RelayFixture.Relayed relayed = fixture.connection(1)) {
      write(relayed.client(), "early");
      fixture.home.adoptListener("2", fixture.frozen.duplicateListener());
      SocketChannel waiting = SocketChannel.open(fixture.frozen.address());
      Thread.sleep(200);
      assertEquals(5, FrozenSockets.waiting(relayed.frozen()));
      assertFalse(FrozenSockets.isNonBlocking(relayed.frozen()));
      fixture.home.abandon();
      assertEquals(5, FrozenSockets.waiting(relayed.frozen()));
      relayed.frozen().send(ByteBuffer.allocateDirect(4), 0, 4);
      ByteBuffer answer = ByteBuffer.allocate(8);
      assertEquals(4, relayed.client().read(answer));
      // The process, running on, accepts what waits.
      fixture.frozen.accept();
      waiting.close();
    }
  }

  @Test
  void theOrderOfStreamAndAttachDoesNotMatter() throws Exception {
    RelayFixture.Relayed existing = fixture.existing(1);
    write(existing.client(), "before");
    existing.client().shutdownOutput();
    fixture.start();
    Thread.sleep(100);
    try (RelayFixture.Relayed relayed = fixture.restored(1, existing)) {
      assertEquals("before", readAll(relayed.process()));
    }
  }

  @Test
  void connectionsInTheBacklogAreServedAfterTheStartAndNewOnesToo() throws Exception {
    try (ServerSocketChannel process = ServerSocketChannel.open()) {
      process.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 1024);
      fixture.home.adoptListener("5", fixture.frozen.duplicateListener());
      List<SocketChannel> clients = new ArrayList<>();
      for (int i = 0; i < 100; i++) {
        SocketChannel client = SocketChannel.open(fixture.frozen.address());
        write(client, "hello");
        clients.add(client);
      }
      assertEquals(0, fixture.home.stats().accepted());
      fixture.start();
      for (int i = 0; i < 100; i++) {
        clients.add(SocketChannel.open(fixture.frozen.address()));
      }
      fixture.destination.listener("5", (InetSocketAddress) process.getLocalAddress());
      Future<Void> serving =
          run(
              () -> {
                for (int i = 0; i < 200; i++) {
                  SocketChannel connection = process.accept();
                  write(connection, "served");
                  connection.close();
                }
                return null;
              });
      // The first hundred have sent something that this server never reads: their connections end
      // by RST.
      for (SocketChannel client : clients) {
        ByteBuffer buffer = ByteBuffer.allocate(16);
        client.read(buffer);
        assertEquals(6, buffer.position());
        client.close();
      }
      serving.get();
    }
    assertEquals(200, fixture.home.stats().accepted());
    awaitNoneOpen();
  }

  @Test
  void fiveHundredConnectionsWorkAtOnceAndMayAllBeReset() throws Exception {
    List<RelayFixture.Relayed> all = new ArrayList<>();
    for (int key = 0; key < 500; key++) {
      all.add(fixture.connection(key));
    }
    fixture.start();
    for (int i = 0; i < 500; i++) {
      write(all.get(i).client(), "request " + i);
    }
    for (int i = 0; i < 500; i++) {
      String text = "request " + i;
      ByteBuffer buffer = ByteBuffer.allocate(64);
      while (buffer.position() < text.length()) {
        assertTrue(all.get(i).process().read(buffer) > 0);
      }
      assertArrayEquals(
          text.getBytes(StandardCharsets.UTF_8),
          java.util.Arrays.copyOf(buffer.array(), buffer.position()));
    }
    assertEquals(500, fixture.home.stats().open());
    try (RelayFixture.Relayed other = all.remove(0)) {
      for (RelayFixture.Relayed relayed : all) {
        reset(relayed.client());
      }
      for (RelayFixture.Relayed relayed : all) {
        assertReset(relayed.process());
        relayed.close();
      }
      pingPong(other.client(), other.process());
    }
  }
}
