package dev.exile.memory;

import java.util.HashMap;
import java.util.Map;

/** Which page of the machine stands for each page of an address space: 4 bytes for each. */
final class Frames {
  private static final int SHIFT = 12;
  private static final int CHUNK_SHIFT = 9;
  private static final int CHUNK = 1 << CHUNK_SHIFT;

  private final Map<Long, int[]> chunks = new HashMap<>();

  // The last chunk looked at: pages come in order.
  private long lastNumber = -1;
  private int[] last;

  /** 0: not known. */
  int at(long page) {
    int[] chunk = chunk(page >>> SHIFT >>> CHUNK_SHIFT, false);
    return chunk == null ? 0 : chunk[(int) ((page >>> SHIFT) % CHUNK)];
  }

  void put(long page, int frame) {
    chunk(page >>> SHIFT >>> CHUNK_SHIFT, true)[(int) ((page >>> SHIFT) % CHUNK)] = frame;
  }

  private int[] chunk(long number, boolean make) {
    if (number != lastNumber || (last == null && make)) {
      last = make ? chunks.computeIfAbsent(number, key -> new int[CHUNK]) : chunks.get(number);
      lastNumber = number;
    }
    return last;
  }
}
