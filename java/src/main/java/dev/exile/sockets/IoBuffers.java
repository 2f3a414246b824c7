package dev.exile.sockets;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.unix.IovArray;
import io.netty.channel.unix.Socket;
import io.netty.util.concurrent.FastThreadLocal;
import java.io.IOException;

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
  private final ByteBufAllocator allocator = PooledByteBufAllocator.DEFAULT;
  private ByteBuf next;

  private IoBuffers() {}

  static IoBuffers get() {
    return BUFFERS.get();
  }

  int read(Socket socket) throws IOException {
    if (next == null) {
      next = allocator.directBuffer(Tuning.READ_CHUNK, Tuning.READ_CHUNK);
    }
    return socket.recvAddress(next.memoryAddress(), 0, Tuning.READ_CHUNK);
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
