package dev.exile.memory;

import java.io.IOException;
import java.nio.ByteBuffer;

/** The way of pages to the destination. Addresses are those at home. */
public interface PageSink {
  /**
   * The content of a range. Waits while too much is under way.
   *
   * @param pid whose memory, as home numbers it
   * @param length of the range, in bytes
   * @param compressed whether the content is a frame of Zstandard
   * @param content direct; the sink's until {@code sent} is run
   */
  void data(int pid, long start, long length, boolean compressed, ByteBuffer content, Runnable sent)
      throws IOException, InterruptedException;

  /** The range holds zeros, or nothing. */
  void zeros(int pid, long start, long length) throws IOException, InterruptedException;

  /** Waits until the destination has all that was sent so far. */
  void await() throws IOException, InterruptedException;
}
