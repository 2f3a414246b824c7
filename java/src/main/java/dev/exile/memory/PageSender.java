package dev.exile.memory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.LongConsumer;

/**
 * Reads pages of processes and sends them: zeros are only told, the rest is compressed where that
 * pays. One thread at a time.
 */
final class PageSender {
  static final int CHUNK = 256 << 10;
  static final int BUFFERS = 16;
  private static final int HEAD_BYTES = 32;

  private final PageSink sink;
  private final Throttle throttle;
  private final Compression compression;
  private final BlockingQueue<ByteBuffer> free = new LinkedBlockingQueue<>();
  private final LongConsumer progress;
  private long bytes;

  /** Nanoseconds that the next chunk has waited for room. */
  private long waited;

  private volatile long covered;

  /**
   * @param bytesPerSecond 0: no limit
   * @param buffers how many chunks may be under way, at least 4
   * @param progress is told each number of bytes that is sent
   */
  PageSender(PageSink sink, long bytesPerSecond, int buffers, LongConsumer progress) {
    this.sink = sink;
    this.throttle = new Throttle(bytesPerSecond);
    this.compression = new Compression(bytesPerSecond != 0, bytesPerSecond != 0 ? 1 : buffers);
    this.progress = progress;
    for (int i = 0; i < buffers; i++) {
      free.add(ByteBuffer.allocateDirect(Compression.bound(CHUNK)).order(ByteOrder.nativeOrder()));
    }
  }

  /** Bytes of memory that were dealt with so far, as they lie there. */
  long covered() {
    return covered;
  }

  /** Bytes that were sent so far. */
  long bytes() {
    return bytes;
  }

  /**
   * Sends a range.
   *
   * @param memory /proc/PID/mem
   * @param sent is brought up to date: what the destination has, and what of it is not zeros
   * @throws IOException where the way is lost, or a page cannot be read
   */
  void send(FileChannel memory, int pid, long start, long end, Sent sent)
      throws IOException, InterruptedException {
    long at = start;
    while (at < end) {
      int length = (int) Math.min(end - at, CHUNK);
      ByteBuffer chunk = take();
      chunk.limit(length);
      try {
        read(memory, chunk, at);
      } catch (IOException e) {
        free.add(chunk);
        throw new UnreadableException(pid, at, e);
      }
      chunk.flip();
      cover(length);
      send(pid, at, chunk, sent);
      at += length;
    }
  }

  // One thread writes it.
  @SuppressWarnings("NonAtomicVolatileUpdate")
  private void cover(long length) {
    covered += length;
  }

  private static void read(FileChannel memory, ByteBuffer into, long at) throws IOException {
    while (into.hasRemaining()) {
      if (memory.read(into, at + into.position()) <= 0) {
        throw new IOException("nothing is mapped there");
      }
    }
  }

  /** Cuts the chunk where pages of zeros are. */
  private void send(int pid, long start, ByteBuffer chunk, Sent sent)
      throws IOException, InterruptedException {
    int length = chunk.limit();
    int from = 0;
    boolean zeros = isZero(chunk, 0);
    for (int page = PageSet.PAGE; page <= length; page += PageSet.PAGE) {
      boolean next = page < length && isZero(chunk, page);
      if (page < length && next == zeros) {
        continue;
      }
      if (zeros) {
        zeros(pid, start + from, start + page, sent);
      } else if (from == 0 && page == length) {
        data(pid, start, chunk, sent);
        return; // the sink gives the chunk back
      } else {
        ByteBuffer part = take();
        part.put(chunk.duplicate().position(from).limit(page)).flip();
        data(pid, start + from, part, sent);
      }
      from = page;
      zeros = next;
    }
    free.add(chunk);
  }

  private static boolean isZero(ByteBuffer chunk, int page) {
    for (int i = page; i < page + PageSet.PAGE; i += Long.BYTES) {
      if (chunk.getLong(i) != 0) {
        return false;
      }
    }
    return true;
  }

  private void zeros(int pid, long start, long end, Sent sent)
      throws IOException, InterruptedException {
    if (sent.forgetData(start, end)) {
      sink.zeros(pid, start, end - start);
      count(HEAD_BYTES);
    }
    sent.addZeros(start, end);
  }

  private void data(int pid, long start, ByteBuffer chunk, Sent sent)
      throws IOException, InterruptedException {
    int length = chunk.limit();
    final long began = System.nanoTime() - waited;
    ByteBuffer content = packed(chunk);
    int size = content.remaining();
    throttle.await(size);
    sink.data(pid, start, length, size < length, content, () -> free.add(content));
    compression.took(length, System.nanoTime() - began);
    waited = 0;
    sent.addData(start, start + length);
    count(size + HEAD_BYTES);
  }

  /** The chunk, or what it is compressed. */
  private ByteBuffer packed(ByteBuffer chunk) throws InterruptedException {
    if (!compression.packs()) {
      return chunk;
    }
    ByteBuffer packed = take();
    boolean smaller = compression.compress(chunk, packed);
    free.add(smaller ? chunk : packed);
    return smaller ? packed : chunk;
  }

  /** Waits while all are under way. */
  private ByteBuffer take() throws InterruptedException {
    ByteBuffer buffer = free.poll();
    if (buffer == null) {
      long began = System.nanoTime();
      buffer = free.take();
      waited += System.nanoTime() - began;
    }
    return buffer.clear();
  }

  private void count(long sent) {
    bytes += sent;
    progress.accept(sent);
  }

  /** Tells that the range is not there any more. */
  void drop(int pid, long start, long end, Sent sent) throws IOException, InterruptedException {
    zeros(pid, start, end, sent);
  }

  /** Waits until the destination has all. */
  void await() throws IOException, InterruptedException {
    sink.await();
  }

  /** A page could not be read: of a process that runs, its area may have gone. */
  static final class UnreadableException extends IOException {
    private static final long serialVersionUID = 1;

    UnreadableException(int pid, long address, IOException cause) {
      super(
          "cannot read memory of process %d at %x: %s".formatted(pid, address, cause.getMessage()),
          cause);
    }
  }
}
