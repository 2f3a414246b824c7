package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The network or an agent fails for a while: connections go on to the byte, none is reset. */
class RelayDisruptedTest extends RelayCase {
  private static final int CONNECTIONS = 8;
  private static final int DISRUPTIONS = 12;
  private static final long LENGTH = 24L << 20;

  @ParameterizedTest
  @EnumSource
  void noByteIsLostOrDoubledOfBusyConnections(Disruption disruption) throws Exception {
    List<RelayFixture.Relayed> all = connections(CONNECTIONS);
    fixture.start();
    List<Future<Long>> sent = new ArrayList<>();
    List<Future<Long>> received = new ArrayList<>();
    AtomicLong progress = new AtomicLong();
    for (int i = 0; i < all.size(); i++) {
      RelayFixture.Relayed one = all.get(i);
      sent.add(sending(one.client(), 2 * i, progress));
      received.add(run(() -> Traffic.receive(one.process())));
      sent.add(sending(one.process(), 2 * i + 1, progress));
      received.add(run(() -> Traffic.receive(one.client())));
    }
    Random random = new Random(disruption.name().length());
    for (int i = 1; i <= DISRUPTIONS; i++) {
      long until = 2 * CONNECTIONS * LENGTH * i / (DISRUPTIONS + 2);
      awaitProgress(progress, until - random.nextInt(1 << 20));
      disruption.begin(fixture);
      Thread.sleep(random.nextInt(20));
      disruption.end(fixture);
    }
    for (int i = 0; i < sent.size(); i++) {
      assertEquals(sent.get(i).get(), received.get(i).get(), "direction " + i);
    }
    assertEquals(0, fixture.home.stats().resets() + fixture.destination.stats().resets());
    closeAll(all);
    awaitOver();
  }

  private Future<Long> sending(SocketChannel channel, int seed, AtomicLong progress) {
    return run(
        () -> {
          long sum = Traffic.send(channel, LENGTH, seed, progress);
          channel.shutdownOutput();
          return sum;
        });
  }

  private static void awaitProgress(AtomicLong progress, long bytes) throws InterruptedException {
    while (progress.get() < bytes) {
      Thread.sleep(1);
    }
  }

  @ParameterizedTest
  @EnumSource
  void idleConnectionsGoOn(Disruption disruption) throws Exception {
    List<RelayFixture.Relayed> all = connections(100);
    fixture.start();
    for (int i = 0; i < 3; i++) {
      for (RelayFixture.Relayed one : all) {
        pingPong(one.client(), one.process());
      }
      disruption.begin(fixture);
      disruption.end(fixture);
    }
    for (RelayFixture.Relayed one : all) {
      pingPong(one.process(), one.client());
    }
    closeAll(all);
    awaitOver();
  }

  @ParameterizedTest
  @EnumSource
  void whatIsSentMeanwhileArrives(Disruption disruption) throws Exception {
    try (RelayFixture.Relayed one = fixture.connection(1)) {
      fixture.start();
      pingPong(one.client(), one.process());
      disruption.begin(fixture);
      write(one.client(), "from the client");
      write(one.process(), "from the process");
      one.client().shutdownOutput();
      one.process().shutdownOutput();
      disruption.end(fixture);
      assertEquals("from the client", readAll(one.process()));
      assertEquals("from the process", readAll(one.client()));
    }
    awaitOver();
    assertEquals(0, fixture.home.stats().resets());
  }

  @ParameterizedTest
  @EnumSource
  void aHalfClosedConnectionGoesOn(Disruption disruption) throws Exception {
    try (RelayFixture.Relayed one = fixture.connection(1);
        RelayFixture.Relayed other = fixture.connection(2)) {
      fixture.start();
      one.client().shutdownOutput();
      other.process().shutdownOutput();
      assertEquals("", readAll(one.process()));
      assertEquals("", readAll(other.client()));
      for (int i = 0; i < 2; i++) {
        disruption.begin(fixture);
        write(one.process(), "still ");
        write(other.client(), "still ");
        disruption.end(fixture);
      }
      write(one.process(), "there");
      one.process().shutdownOutput();
      write(other.client(), "there");
      other.client().shutdownOutput();
      assertEquals("still still there", readAll(one.client()));
      assertEquals("still still there", readAll(other.process()));
    }
    awaitOver();
    assertEquals(0, fixture.home.stats().resets());
  }

  @ParameterizedTest
  @EnumSource
  void resetsMeanwhileReachTheOtherSideBehindTheirBytes(Disruption disruption) throws Exception {
    try (RelayFixture.Relayed one = fixture.connection(1);
        RelayFixture.Relayed other = fixture.connection(2);
        RelayFixture.Relayed half = fixture.connection(3)) {
      fixture.start();
      pingPong(one.client(), one.process());
      pingPong(other.client(), other.process());
      half.client().shutdownOutput();
      assertEquals("", readAll(half.process()));
      disruption.begin(fixture);
      write(one.client(), "last");
      Thread.sleep(50);
      reset(one.client());
      write(other.process(), "last");
      Thread.sleep(50);
      reset(other.process());
      reset(half.client());
      disruption.end(fixture);
      assertEquals("last", read(one.process(), 4));
      assertReset(one.process());
      assertEquals("last", read(other.client(), 4));
      assertReset(other.client());
      awaitWriteFails(half.process());
    }
    awaitOver();
  }

  @ParameterizedTest
  @EnumSource
  void connectionsThatAreMadeMeanwhileAreServed(Disruption disruption) throws Exception {
    try (ServerSocketChannel process = listeningProcess()) {
      fixture.start();
      List<SocketChannel> clients = new ArrayList<>();
      Future<Void> serving = run(() -> serve(process, 90));
      for (int round = 0; round < 3; round++) {
        connect(clients, 10);
        disruption.begin(fixture);
        connect(clients, 10);
        disruption.end(fixture);
        connect(clients, 10);
      }
      for (int i = 0; i < clients.size(); i++) {
        assertEquals("echo " + i, readAll(clients.get(i)));
        clients.get(i).close();
      }
      serving.get();
      assertFalse(hasCaller(process), "a connection came twice");
      awaitOver();
    }
  }

  @ParameterizedTest
  @EnumSource
  void aConnectionThatTheProcessHasEndedMeanwhileIsNotMadeAgain(Disruption disruption)
      throws Exception {
    try (ServerSocketChannel process = listeningProcess()) {
      fixture.start();
      SocketChannel silent = SocketChannel.open(fixture.frozen.address());
      SocketChannel resetting = SocketChannel.open(fixture.frozen.address());
      SocketChannel first = process.accept();
      SocketChannel second = process.accept();
      disruption.begin(fixture);
      first.close();
      reset(second);
      disruption.end(fixture);
      awaitEnd(silent);
      awaitEnd(resetting);
      silent.close();
      resetting.close();
      assertFalse(hasCaller(process), "a connection came twice");
      awaitOver();
    }
  }

  private List<RelayFixture.Relayed> connections(int count) throws IOException {
    List<RelayFixture.Relayed> all = new ArrayList<>();
    for (int key = 0; key < count; key++) {
      all.add(fixture.connection(key));
    }
    return all;
  }

  private static void closeAll(List<RelayFixture.Relayed> all) throws IOException {
    for (RelayFixture.Relayed one : all) {
      one.close();
    }
  }

  /** It has been started again and could not take it up; the next one can. */
  @Test
  void connectionsWaitWhileTheDestinationsAgentDoesNotKnowTheMigration() throws Exception {
    try (ServerSocketChannel process = listeningProcess();
        RelayFixture.Relayed one = fixture.connection(1)) {
      fixture.start();
      pingPong(one.client(), one.process());
      Carrier before = fixture.carrier;
      fixture.killDestination();
      fixture.restartDestination(false);
      List<SocketChannel> clients = new ArrayList<>();
      connect(clients, 1);
      write(one.client(), "from the client");
      while (fixture.carrier == before || fixture.carrier.isOpen()) {
        Thread.sleep(5); // until they have been refused
      }

      fixture.killDestination();
      fixture.restartDestination();

      assertEquals("from the client", read(one.process(), "from the client".length()));
      pingPong(one.process(), one.client());
      serve(process, 1);
      assertEquals("echo 0", readAll(clients.get(0)));
      closeAll(List.of(one));
      clients.get(0).close();
    }
    awaitOver();
    assertEquals(0, fixture.home.stats().resets());
  }

  private ServerSocketChannel listeningProcess() throws IOException {
    ServerSocketChannel process = ServerSocketChannel.open();
    process.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 1024);
    fixture.home.adoptListener("5", fixture.frozen.duplicateListener());
    fixture.listener("5", (InetSocketAddress) process.getLocalAddress());
    return process;
  }

  private void connect(List<SocketChannel> clients, int count) throws IOException {
    for (int i = 0; i < count; i++) {
      SocketChannel client = SocketChannel.open(fixture.frozen.address());
      write(client, "echo " + clients.size());
      client.shutdownOutput();
      clients.add(client);
    }
  }

  private static Void serve(ServerSocketChannel process, int count) throws IOException {
    for (int i = 0; i < count; i++) {
      try (SocketChannel one = process.accept()) {
        write(one, readAll(one));
      }
    }
    return null;
  }

  /** Whether another connection waits to be accepted. */
  private static boolean hasCaller(ServerSocketChannel process) throws Exception {
    Thread.sleep(200);
    process.configureBlocking(false);
    try (SocketChannel caller = process.accept()) {
      return caller != null;
    }
  }

  private static void awaitEnd(SocketChannel channel) {
    try {
      assertTrue(channel.read(java.nio.ByteBuffer.allocate(1)) <= 0);
    } catch (IOException e) {
      assertTrue(e.getMessage().contains("reset"), e.toString());
    }
  }
}
