package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CompressionTest {
  private static final int CHUNK = 256 << 10;
  private static final int LAG = 4;

  /** No processor takes as long for a byte. */
  private static final double SLOW = 10_000;

  private final ByteBuffer alike = ByteBuffer.allocateDirect(CHUNK);
  private final ByteBuffer random = random();
  private final ByteBuffer packed = ByteBuffer.allocateDirect(Compression.bound(CHUNK));

  @Test
  void itPacksWhatPassesFasterThatWay() {
    Compression compression = new Compression(false, LAG);

    assertTrue(packedOf(compression, 1000, alike, SLOW, SLOW / 2) > 800);
  }

  @Test
  void itLeavesWhatPassesNoFasterThatWay() {
    Compression compression = new Compression(false, LAG);

    assertTrue(packedOf(compression, 1000, alike, SLOW, SLOW) < 100);
  }

  @Test
  void aFastLinkIsTriedWithOneChunkNowAndThen() {
    Compression compression = new Compression(false, LAG);

    assertTrue(packedOf(compression, 1000, alike, 0.001, 0.001) <= 5);
  }

  @Test
  void whatCannotBePackedIsTriedWithOneChunkNowAndThen() {
    Compression compression = new Compression(false, LAG);

    assertEquals(0, packedOf(compression, 1000, random, SLOW, SLOW / 2));
  }

  @Test
  void itChangesItsMindAsTheLinkDoes() {
    Compression compression = new Compression(false, LAG);
    packedOf(compression, 200, alike, SLOW, SLOW / 2);

    packedOf(compression, 400, alike, SLOW, SLOW * 2);

    assertTrue(packedOf(compression, 500, alike, SLOW, SLOW * 2) < 50);
    packedOf(compression, 2500, alike, SLOW, SLOW / 2);
    assertTrue(packedOf(compression, 500, alike, SLOW, SLOW / 2) > 400);
  }

  @Test
  void whereBytesAreLimitedItPacksAtOnce() {
    Compression compression = new Compression(true, 1);

    assertEquals(8, packedOf(compression, 8, alike, SLOW, SLOW / 2));
  }

  @Test
  void whatIsStillUnderWayOfTheFormerWaySaysNothing() {
    Compression compression = new Compression(false, LAG);
    int packedChunks = 0;
    boolean before = false;
    int since = 0;
    for (int i = 0; i < 1000; i++) {
      boolean now = compression.packs();
      since = now == before ? since + 1 : 0;
      before = now;
      if (now) {
        compression.compress(alike.clear(), packed.clear());
        packedChunks++;
      }
      boolean old = since < LAG != now; // a chunk leaves as fast as the one LAG before it
      compression.took(CHUNK, (long) ((old ? SLOW / 2 : SLOW) * CHUNK));
    }
    assertTrue(packedChunks > 800, "" + packedChunks);
  }

  /** Sends so many chunks, at that cost a byte; how many of them went packed. */
  private int packedOf(
      Compression compression, int chunks, ByteBuffer chunk, double plain, double whenPacked) {
    int count = 0;
    for (int i = 0; i < chunks; i++) {
      boolean smaller = compression.packs() && compression.compress(chunk.clear(), packed.clear());
      count += smaller ? 1 : 0;
      compression.took(CHUNK, (long) ((smaller ? whenPacked : plain) * CHUNK));
    }
    return count;
  }

  private static ByteBuffer random() {
    byte[] bytes = new byte[CHUNK];
    new Random(1).nextBytes(bytes);
    return ByteBuffer.allocateDirect(CHUNK).put(bytes);
  }
}
