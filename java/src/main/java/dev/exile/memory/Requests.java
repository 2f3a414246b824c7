package dev.exile.memory;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import java.util.TreeMap;

/**
 * What a destination asks for: pages that threads wait for come first, then whatever is missing, in
 * slices. Thread-safe.
 */
public final class Requests {
  /** What is pushed at a time: as long a page that is waited for may have to wait. */
  private static final long SLICE = 128 << 10;

  /** What goes along with a page that is waited for. */
  private static final long AROUND = 64 << 10;

  private final Deque<Range> wanted = new ArrayDeque<>();
  private final Map<Integer, TreeMap<Long, Long>> missing = new TreeMap<>();

  /** A part of the memory of a process. */
  public record Range(int pid, long start, long end) {}

  /** A thread waits for the page at this address. */
  public synchronized void want(int pid, long address) {
    wanted.add(new Range(pid, address, address + PageSet.PAGE));
    notifyAll();
  }

  /** So much is missing. */
  public synchronized void miss(int pid, long start, long end) {
    if (start >= 0 && start < end) {
      missing.computeIfAbsent(pid, key -> new TreeMap<>()).merge(start, end, Math::max);
      notifyAll();
    }
  }

  /** Forgets all. */
  public synchronized void clear() {
    wanted.clear();
    missing.clear();
  }

  /** Waits for something to send; null where there is nothing within so long. */
  public synchronized Range next(long millis) throws InterruptedException {
    long end = System.nanoTime() + millis * 1_000_000;
    Range found = poll();
    long left = millis;
    while (found == null && left > 0) {
      wait(left);
      found = poll();
      left = (end - System.nanoTime()) / 1_000_000;
    }
    return found;
  }

  private Range poll() {
    Range head = wanted.poll();
    if (head != null) {
      return cut(head.pid(), head.start(), AROUND, head);
    }
    for (Map.Entry<Integer, TreeMap<Long, Long>> process : missing.entrySet()) {
      if (!process.getValue().isEmpty()) {
        return cut(process.getKey(), process.getValue().firstKey(), SLICE, null);
      }
    }
    return null;
  }

  /** Takes at most so many bytes from there on out of what is missing; else what is given. */
  private Range cut(int pid, long start, long most, Range otherwise) {
    TreeMap<Long, Long> ranges = missing.getOrDefault(pid, new TreeMap<>());
    Map.Entry<Long, Long> range = ranges.floorEntry(start);
    if (range == null || range.getValue() <= start) {
      return otherwise;
    }
    long end = Math.min(range.getValue(), start + most);
    ranges.remove(range.getKey());
    if (range.getKey() < start) {
      ranges.put(range.getKey(), start);
    }
    if (end < range.getValue()) {
      ranges.merge(end, range.getValue(), Math::max);
    }
    return new Range(pid, start, end);
  }
}
