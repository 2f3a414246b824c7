package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.channel.unix.IovArray;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.util.ArrayDeque;

/**
 * Bytes that wait for a socket to take them, in order. Small pieces are copied together: a stream
 * of one-byte messages to a reader that sleeps must not pin a network buffer for each.
 *
 * <p>Not thread-safe: belongs to one event loop.
 */
final class WriteQueue {
  private final ArrayDeque<ByteBuf> queue = new ArrayDeque<>(4);
  private final ByteBufAllocator allocator;

  /** The queue's last buffer, if small pieces may be added to it. */
  private ByteBuf tail;

  private long bytes;

  WriteQueue(ByteBufAllocator allocator) {
    this.allocator = allocator;
  }

  /** Appends; the buffer's ownership passes to the queue. */
  void add(ByteBuf data) {
    int length = data.readableBytes();
    bytes += length;
    if (length >= Tuning.SMALL) {
      tail = null;
      queue.add(data);
      return;
    }
    try {
      if (length == 0) {
        return;
      }
      if (tail == null || tail.writableBytes() < length) {
        tail = allocator.directBuffer(queue.isEmpty() ? length : 4 * Tuning.SMALL);
        queue.add(tail);
      }
      tail.writeBytes(data, data.readerIndex(), length);
    } finally {
      data.release();
    }
  }

  boolean isEmpty() {
    return bytes == 0;
  }

  long bytes() {
    return bytes;
  }

  /**
   * Writes what the kernel takes, in one call.
   *
   * @return bytes taken, 0 if the socket's buffer is full or the queue is empty
   */
  long writeTo(Socket socket, IovArray vector) throws IOException {
    long taken;
    ByteBuf first = queue.peek();
    if (first == null) {
      return 0;
    }
    if (queue.size() == 1 && first.hasMemoryAddress()) {
      taken = socket.sendAddress(first.memoryAddress(), first.readerIndex(), first.writerIndex());
    } else {
      vector.clear();
      for (ByteBuf data : queue) {
        if (!vector.add(data, data.readerIndex(), data.readableBytes())) {
          break;
        }
      }
      taken = socket.writevAddresses(vector.memoryAddress(0), vector.count());
    }
    drop(taken);
    return taken;
  }

  /** Forgets and frees everything. */
  void clear() {
    drop(bytes);
  }

  private void drop(long count) {
    bytes -= count;
    long left = count;
    while (left > 0) {
      ByteBuf first = queue.element();
      int length = first.readableBytes();
      if (length > left) {
        first.skipBytes((int) left);
        return;
      }
      left -= length;
      queue.remove();
      first.release();
      if (queue.isEmpty()) {
        tail = null;
      }
    }
  }
}
