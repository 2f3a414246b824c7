package dev.exile.memory;

import java.util.Arrays;
import java.util.Iterator;
import java.util.Map;
import java.util.TreeMap;

/** A set of pages of one address space, in ranges of addresses. Not thread-safe. */
final class PageSet {
  /** Bytes of a page. */
  static final int PAGE = 4096;

  private static final int SHIFT = 12;
  private static final int CHUNK_WORDS = 8;
  private static final int CHUNK_PAGES = CHUNK_WORDS * Long.SIZE;

  private final TreeMap<Long, long[]> chunks = new TreeMap<>();

  /** Is told a range, from this address on, up to that. */
  @FunctionalInterface
  interface Range<E extends Exception> {
    void at(long start, long end) throws E;
  }

  void add(long start, long end) {
    for (long page = start >>> SHIFT; page < end >>> SHIFT; page++) {
      int bit = (int) (page % CHUNK_PAGES);
      long[] words = chunks.computeIfAbsent(page / CHUNK_PAGES, key -> new long[CHUNK_WORDS]);
      if (bit == 0 && page + CHUNK_PAGES <= end >>> SHIFT) {
        Arrays.fill(words, -1);
        page += CHUNK_PAGES - 1;
      } else {
        words[bit / Long.SIZE] |= 1L << bit;
      }
    }
  }

  /** Returns whether some of it was there. */
  boolean remove(long start, long end) {
    long first = start >>> SHIFT;
    long last = end >>> SHIFT;
    boolean some = false;
    Iterator<Map.Entry<Long, long[]>> touched =
        chunks.subMap(first / CHUNK_PAGES, true, last / CHUNK_PAGES, true).entrySet().iterator();
    while (touched.hasNext()) {
      Map.Entry<Long, long[]> chunk = touched.next();
      long base = chunk.getKey() * CHUNK_PAGES;
      long[] words = chunk.getValue();
      long from = Math.max(first, base);
      long to = Math.min(last, base + CHUNK_PAGES);
      for (long page = from; page < to; page++) {
        int bit = (int) (page - base);
        some |= (words[bit / Long.SIZE] >>> bit & 1) != 0;
        words[bit / Long.SIZE] &= ~(1L << bit);
      }
      if (Arrays.stream(words).allMatch(word -> word == 0)) {
        touched.remove();
      }
    }
    return some;
  }

  void clear() {
    chunks.clear();
  }

  void addAll(PageSet other) {
    other.chunks.forEach(
        (key, words) -> {
          long[] own = chunks.computeIfAbsent(key, k -> new long[CHUNK_WORDS]);
          for (int i = 0; i < CHUNK_WORDS; i++) {
            own[i] |= words[i];
          }
        });
  }

  /** What of this one is not in the other. */
  PageSet minus(PageSet other) {
    PageSet left = new PageSet();
    chunks.forEach(
        (key, words) -> {
          long[] theirs = other.chunks.get(key);
          long[] rest = words.clone();
          boolean some = theirs == null;
          for (int i = 0; theirs != null && i < CHUNK_WORDS; i++) {
            rest[i] &= ~theirs[i];
            some |= rest[i] != 0;
          }
          if (some) {
            left.chunks.put(key, rest);
          }
        });
    return left;
  }

  /** How many pages. */
  long pages() {
    long count = 0;
    for (long[] words : chunks.values()) {
      for (long word : words) {
        count += Long.bitCount(word);
      }
    }
    return count;
  }

  boolean isEmpty() {
    return chunks.values().stream().allMatch(words -> Arrays.stream(words).allMatch(w -> w == 0));
  }

  /** The same of what is between two addresses. */
  void within(long from, long to, Range<RuntimeException> told) {
    PageSet part = new PageSet();
    long last = (to >>> SHIFT) / CHUNK_PAGES;
    part.chunks.putAll(chunks.subMap((from >>> SHIFT) / CHUNK_PAGES, true, last, true));
    part.forEach(
        (start, end) -> {
          if (end > from && start < to) {
            told.at(Math.max(start, from), Math.min(end, to));
          }
        });
  }

  /** All ranges, ascending, as long as they can be. */
  <E extends Exception> void forEach(Range<E> told) throws E {
    long start = -1;
    long end = -1;
    for (Map.Entry<Long, long[]> chunk : chunks.entrySet()) {
      for (int i = 0; i < CHUNK_WORDS; i++) {
        long word = chunk.getValue()[i];
        long base = chunk.getKey() * CHUNK_PAGES + (long) i * Long.SIZE;
        int bit = 0;
        while (word != 0) {
          int zeros = Long.numberOfTrailingZeros(word);
          bit += zeros;
          word >>>= zeros;
          int ones = Long.numberOfTrailingZeros(~word);
          if (start >= 0 && end != base + bit) {
            told.at(start << SHIFT, end << SHIFT);
            start = -1;
          }
          if (start < 0) {
            start = base + bit;
          }
          bit += ones;
          end = base + bit;
          word = ones == Long.SIZE ? 0 : word >>> ones;
        }
      }
    }
    if (start >= 0) {
      told.at(start << SHIFT, end << SHIFT);
    }
  }
}
