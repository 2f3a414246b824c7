package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.buffer.UnpooledByteBufAllocator;
import org.junit.jupiter.api.Test;

class WriteQueueTest {
  @Test
  void smallPiecesDoNotPinTheBuffersTheyCameIn() {
    UnpooledByteBufAllocator allocator = new UnpooledByteBufAllocator(true);
    WriteQueue queue = new WriteQueue(allocator);
    int window = Tuning.STREAM_WINDOW;
    for (int i = 0; i < window; i++) {
      ByteBuf network = PooledByteBufAllocator.DEFAULT.directBuffer(16384).writeZero(16384);
      queue.add(network.readRetainedSlice(1));
      network.release();
    }
    assertEquals(window, queue.bytes());
    long used = allocator.metric().usedDirectMemory();
    assertTrue(used <= 2L * window, used + " bytes hold " + window);
    queue.clear();
    assertEquals(0, allocator.metric().usedDirectMemory());
  }
}
