package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What tests of the relay share: a relay between two hosts, and simple peers at its ends. */
@Timeout(value = 30, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
abstract class RelayCase {
  @TempDir Path images;
  protected RelayFixture fixture;
  private final ExecutorService threads = Executors.newCachedThreadPool();

  @BeforeEach
  void open() throws IOException {
    fixture = new RelayFixture(images);
  }

  @AfterEach
  void close() throws IOException {
    threads.shutdownNow();
    fixture.close();
  }

  protected <T> Future<T> run(Callable<T> task) {
    return threads.submit(task);
  }

  protected static void write(SocketChannel channel, String text) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  protected static String readAll(SocketChannel channel) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(4096);
    while (channel.read(buffer) >= 0) {
      assertTrue(buffer.hasRemaining());
    }
    return new String(buffer.array(), 0, buffer.position(), StandardCharsets.UTF_8);
  }

  protected static String read(SocketChannel channel, int length) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(length);
    while (buffer.hasRemaining()) {
      assertTrue(channel.read(buffer) > 0);
    }
    return new String(buffer.array(), StandardCharsets.UTF_8);
  }

  protected static void pingPong(SocketChannel left, SocketChannel right) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(4);
    write(left, "ping");
    while (buffer.hasRemaining()) {
      assertTrue(right.read(buffer) > 0);
    }
    write(right, "pong");
    buffer.clear();
    while (buffer.hasRemaining()) {
      assertTrue(left.read(buffer) > 0);
    }
  }

  protected static void reset(SocketChannel channel) throws IOException {
    channel.setOption(java.net.StandardSocketOptions.SO_LINGER, 0);
    channel.close();
  }

  protected static void assertReset(SocketChannel channel) {
    try {
      int length = channel.read(ByteBuffer.allocate(1));
      throw new AssertionError("read " + length + " instead of a reset");
    } catch (IOException e) {
      assertTrue(e.getMessage().contains("reset"), e.toString());
    }
  }

  /** A reset after EOF shows only in writing. */
  protected static void awaitWriteFails(SocketChannel channel) throws InterruptedException {
    for (; ; ) {
      try {
        write(channel, "x");
        Thread.sleep(10);
      } catch (IOException e) {
        return;
      }
    }
  }

  protected static boolean isRefused(InetSocketAddress address) {
    try (SocketChannel channel = SocketChannel.open(address)) {
      return !channel.isConnected();
    } catch (IOException e) {
      return true;
    }
  }

  /** Nothing is open and nothing parked: all was told to all. */
  protected void awaitOver() throws InterruptedException {
    awaitNoneOpen();
    while (fixture.parked() > 0) {
      Thread.sleep(5);
    }
  }

  protected void awaitNoneOpen() throws InterruptedException {
    while (fixture.home.stats().open() + fixture.destination.stats().open() > 0) {
      Thread.sleep(5);
    }
  }

  protected static void awaitUnread(SocketChannel channel) throws Exception {
    while (FrozenSockets.unread(channel) == 0) {
      Thread.sleep(5);
    }
  }

  protected static void awaitWaiting(RelayFixture.Relayed relayed) throws InterruptedException {
    while (FrozenSockets.waiting(relayed.frozen()) == 0) {
      Thread.sleep(5);
    }
  }

  protected static void awaitStall(AtomicLong progress) throws InterruptedException {
    long last = -1;
    while (progress.get() != last) {
      last = progress.get();
      Thread.sleep(300);
    }
  }
}
