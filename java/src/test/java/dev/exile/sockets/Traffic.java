package dev.exile.sockets;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;

/** Random bytes in random pieces through blocking channels, with a checksum at either end. */
final class Traffic {
  private static final int LARGEST = 200_000;

  private Traffic() {}

  static long send(SocketChannel channel, long length, int seed) throws IOException {
    return send(channel, length, seed, new AtomicLong());
  }

  /** Sends and returns the checksum; tells its progress. */
  static long send(SocketChannel channel, long length, int seed, AtomicLong progress)
      throws IOException {
    Random random = new Random(seed);
    byte[] pool = new byte[LARGEST * 2];
    random.nextBytes(pool);
    CRC32C sum = new CRC32C();
    long left = length;
    while (left > 0) {
      int limit = random.nextInt(10) < 3 ? 100 : LARGEST;
      int piece = (int) Math.min(left, 1 + random.nextInt(limit));
      int from = random.nextInt(LARGEST);
      sum.update(pool, from, piece);
      ByteBuffer bytes = ByteBuffer.wrap(pool, from, piece);
      while (bytes.hasRemaining()) {
        progress.addAndGet(channel.write(bytes));
      }
      left -= piece;
    }
    return sum.getValue();
  }

  /** Receives until EOF and returns the checksum. */
  static long receive(SocketChannel channel) throws IOException {
    CRC32C sum = new CRC32C();
    ByteBuffer bytes = ByteBuffer.allocate(LARGEST);
    while (channel.read(bytes) >= 0) {
      bytes.flip();
      sum.update(bytes);
      bytes.clear();
    }
    return sum.getValue();
  }
}
