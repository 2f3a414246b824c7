package dev.exile.sockets;

import dev.exile.linux.PeekVector;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.unix.IovArray;
import io.netty.util.concurrent.FastThreadLocal;

/**
 * What all sockets of an event loop share: the buffer to read into and the vector to write from.
 */
final class IoBuffers {
  /** Buffers that one writev takes at most. */
  private static final int VECTOR = 64;

  private static final FastThreadLocal<IoBuffers> BUFFERS =
      new FastThreadLocal<>() {
        @Override
        protected IoBuffers initialValue() {
          return new IoBuffers();
        }

        @Override
        protected void onRemoval(IoBuffers value) {
          value.release();
        }
      };

  final IovArray vector = new IovArray(VECTOR);
  private final PeekVector peeker = new PeekVector();
  private final ByteBufAllocator allocator = PooledByteBufAllocator.DEFAULT;
  private ByteBuf next;

  private IoBuffers() {}

  static IoBuffers get() {
    return BUFFERS.get();
  }

  /**
   * Reads what the socket holds beyond the first bytes, and leaves all of it there.
   *
   * @return bytes read, 0 where there are none for now or for ever, a negative errno on failure
   */
  int peek(int fd, long skip) {
    if (next == null) {
      next = allocator.directBuffer(Tuning.READ_CHUNK, Tuning.READ_CHUNK);
    }
    return peeker.peek(fd, skip, next.memoryAddress(), Tuning.READ_CHUNK);
  }

  /**
   * Hands over what was read: the buffer itself if it is well filled, else a copy of the right
   * size.
   */
  ByteBuf take(int length) {
    if (length >= Tuning.READ_CHUNK / 2) {
      ByteBuf full = next;
      next = null;
      return full.writerIndex(length);
    }
    next.writerIndex(length);
    ByteBuf copy = allocator.directBuffer(length, length).writeBytes(next, 0, length);
    next.clear();
    return copy;
  }

  void release() {
    vector.release();
    if (next != null) {
      next.release();
    }
  }
}
