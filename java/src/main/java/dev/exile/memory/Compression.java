package dev.exile.memory;

import com.github.luben.zstd.Zstd;
import java.nio.ByteBuffer;

/**
 * Decides on the fly whether compressing pays: now and then a chunk is compressed to see what it
 * gives, and what it costs is compared with what the link takes. One thread at a time.
 */
final class Compression {
  private static final int LEVEL = 1;
  private static final int PROBE_EVERY = 32;

  /** How much a new figure counts. */
  private static final double WEIGHT = 0.25;

  private double nanosPerByte;
  private double ratio = 1;
  private double linkNanosPerByte;
  private int chunks;

  /** So many bytes were sent in so long, with the link as the only thing that they waited for. */
  synchronized void linkTook(long bytes, long nanos) {
    if (bytes > 0) {
      linkNanosPerByte = blend(linkNanosPerByte, (double) nanos / bytes);
    }
  }

  /**
   * Compresses the chunk where that pays.
   *
   * @param into large enough for {@link #bound}
   * @return whether it did; {@code into} is ready to be read then
   */
  boolean compress(ByteBuffer chunk, ByteBuffer into) {
    boolean probing = chunks++ % PROBE_EVERY == 0;
    if (!probing && !pays()) {
      return false;
    }
    int length = chunk.remaining();
    long began = System.nanoTime();
    long size =
        Zstd.compressDirectByteBuffer(
            into, 0, into.capacity(), chunk, chunk.position(), length, LEVEL);
    if (Zstd.isError(size)) {
      return false;
    }
    synchronized (this) {
      nanosPerByte = blend(nanosPerByte, (double) (System.nanoTime() - began) / length);
      ratio = blend(ratio, (double) size / length);
    }
    into.position(0).limit((int) size);
    return size < length && pays();
  }

  private static double blend(double old, double now) {
    return old == 0 ? now : old + WEIGHT * (now - old);
  }

  /** What is compressed while the link is busy costs nothing but what it takes longer than that. */
  private synchronized boolean pays() {
    return linkNanosPerByte > 0
        && Math.max(nanosPerByte, ratio * linkNanosPerByte) < linkNanosPerByte;
  }

  static int bound(int length) {
    return (int) Zstd.compressBound(length);
  }
}
