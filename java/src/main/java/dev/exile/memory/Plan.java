package dev.exile.memory;

import java.util.ArrayList;
import java.util.List;

/**
 * What the destination is to make of one process's memory. Ranges are pairs of addresses, start and
 * end, ascending.
 *
 * @param pid as home numbers it
 * @param areas what travels page by page; all else is in CRIU's images
 * @param missing what of it has not been sent yet
 */
public record Plan(int pid, List<Long> areas, List<Long> missing) {
  /** As the shim's jobs read it, see native/src/pager.c. */
  List<String> lines() {
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < areas.size(); i += 2) {
      lines.add("area %x %x".formatted(areas.get(i), areas.get(i + 1)));
    }
    for (int i = 0; i < missing.size(); i += 2) {
      lines.add("missing %x %x".formatted(missing.get(i), missing.get(i + 1)));
    }
    return lines;
  }

  /** Bytes that have not been sent. */
  public long missingBytes() {
    long bytes = 0;
    for (int i = 0; i < missing.size(); i += 2) {
      bytes += missing.get(i + 1) - missing.get(i);
    }
    return bytes;
  }
}
