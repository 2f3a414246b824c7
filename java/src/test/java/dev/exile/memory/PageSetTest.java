package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PageSetTest {
  private static final long BASE = 0x7f00_0000_0000L;
  private static final int PAGES = 3000;

  private static long address(int page) {
    return BASE + (long) page * PageSet.PAGE;
  }

  private static BitSet bits(PageSet set) {
    BitSet bits = new BitSet();
    List<long[]> ranges = new ArrayList<>();
    set.forEach((start, end) -> ranges.add(new long[] {start, end}));
    long last = -1;
    for (long[] range : ranges) {
      assertTrue(range[0] > last, "ranges ascend, and none could be longer");
      last = range[1];
      int first = (int) ((range[0] - BASE) / PageSet.PAGE);
      bits.set(first, (int) ((range[1] - BASE) / PageSet.PAGE));
    }
    return bits;
  }

  @Test
  void itHoldsWhatAPlainSetWouldHold() {
    Random random = new Random(5);
    for (int i = 0; i < 200; i++) {
      PageSet set = new PageSet();
      PageSet other = new PageSet();
      BitSet bits = new BitSet();
      BitSet others = new BitSet();
      for (int step = 0; step < 40; step++) {
        int from = random.nextInt(PAGES);
        int to = Math.min(PAGES, from + 1 + random.nextInt(random.nextBoolean() ? 5 : 1500));
        switch (random.nextInt(4)) {
          case 0 -> {
            boolean some = bits.get(from, to).cardinality() > 0;
            assertEquals(some, set.remove(address(from), address(to)));
            bits.clear(from, to);
          }
          case 1 -> {
            other.add(address(from), address(to));
            others.set(from, to);
          }
          default -> {
            set.add(address(from), address(to));
            bits.set(from, to);
          }
        }
      }
      assertEquals(bits, bits(set));
      assertEquals(bits.cardinality(), set.pages());
      assertEquals(bits.isEmpty(), set.isEmpty());
      BitSet rest = (BitSet) bits.clone();
      rest.andNot(others);
      assertEquals(rest, bits(set.minus(other)));
      int from = random.nextInt(PAGES);
      int to = from + random.nextInt(PAGES - from);
      PageSet part = new PageSet();
      set.within(address(from), address(to), part::add);
      BitSet within = new BitSet();
      within.set(from, to);
      within.and(bits);
      assertEquals(within, bits(part));
      set.addAll(other);
      bits.or(others);
      assertEquals(bits, bits(set));
    }
  }
}
