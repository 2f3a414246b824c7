package dev.exile.memory;

import com.github.luben.zstd.Zstd;
import java.nio.ByteBuffer;

/**
 * Decides on the fly whether compressing pays: now and then chunks are sent the other way for a
 * moment, and that way goes on by which so many bytes of memory took less time, whatever it was
 * that took it: a processor, the link, a limit, or the receiver. One thread at a time.
 */
final class Compression {
  private static final int LEVEL = 1;

  /** By so many bytes of memory a way is judged. */
  private static final long TRIAL = 2 << 20;

  /** The worse way is tried again after so many bytes, and after twice as many if it still is. */
  private static final long AGAIN = 16 << 20;

  private static final long MOST = 512 << 20;

  /** Packing takes two processors some time: it must bring something. */
  private static final double WORTH = 0.95;

  private final int lag;
  private boolean usual;
  private boolean packs;
  private int skip;
  private long due = TRIAL;
  private long again = AGAIN / 2;
  private long bytes;
  private long nanos;
  private double plainCost;
  private double packedCost;
  private boolean hopeless;

  /**
   * @param limited whether an operator wants few bytes: then compressing is what is tried first
   * @param lag how many chunks may be under way: as long as those of the former way are, times tell
   *     of that
   */
  Compression(boolean limited, int lag) {
    this.usual = limited;
    this.packs = limited;
    this.lag = lag;
    this.skip = limited ? 0 : lag;
  }

  /** Whether the next chunk is to be compressed. */
  boolean packs() {
    return packs;
  }

  /**
   * Compresses a chunk.
   *
   * @param into large enough for {@link #bound}
   * @return whether it is smaller now; {@code into} is ready to be read then
   */
  boolean compress(ByteBuffer chunk, ByteBuffer into) {
    int length = chunk.remaining();
    long began = System.nanoTime();
    long size =
        Zstd.compressDirectByteBuffer(
            into, 0, into.capacity(), chunk, chunk.position(), length, LEVEL);
    boolean smaller = !Zstd.isError(size) && size < length * WORTH;
    double cost = (double) (System.nanoTime() - began) / length;
    hopeless = packs != usual && (!smaller || cost > plainCost);
    if (smaller) {
      into.position(0).limit((int) size);
    }
    return smaller;
  }

  /** So many bytes of memory were sent in so long, all included. */
  void took(long size, long time) {
    if (hopeless) {
      hopeless = false;
      decide(false);
      return;
    }
    if (skip > 0) {
      skip--;
      return;
    }
    bytes += size;
    nanos += time;
    if (bytes < due) {
      return;
    }
    double cost = (double) nanos / bytes;
    if (packs) {
      packedCost = cost;
    } else {
      plainCost = cost;
    }
    if (packs == usual) {
      turnTo(!usual, TRIAL);
    } else {
      decide(packedCost < plainCost * WORTH);
    }
  }

  private void decide(boolean packing) {
    again = packing == usual ? Math.min(again * 2, MOST) : AGAIN;
    usual = packing;
    turnTo(usual, again);
  }

  private void turnTo(boolean packing, long forBytes) {
    skip = packing == packs ? 0 : lag;
    packs = packing;
    due = forBytes;
    bytes = 0;
    nanos = 0;
  }

  static int bound(int length) {
    return (int) Zstd.compressBound(length);
  }
}
