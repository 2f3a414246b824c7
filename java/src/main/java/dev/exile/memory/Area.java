package dev.exile.memory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A part of an address space that travels page by page: private and anonymous, what CRIU calls
 * lazy. All else, such as files' pages, shared memory and huge pages, travels in CRIU's images.
 *
 * @param start its first address
 * @param end the address behind it
 */
public record Area(long start, long end) {
  /** Bytes of a page. */
  public static final long PAGE = PageSet.PAGE;

  private static final List<String> NAMES = List.of("", "[heap]", "[stack]");

  /**
   * Those of a process; none where it has ended.
   *
   * @param special whether to look for areas with flags that keep them to CRIU: locked, or to be
   *     empty after a fork. That takes some ms per GB.
   */
  static List<Area> of(int pid, boolean special) throws IOException {
    Path proc = Path.of("/proc/" + pid);
    try {
      return parse(Files.readAllLines(proc.resolve(special ? "smaps" : "maps")));
    } catch (NoSuchFileException e) {
      return List.of();
    }
  }

  /** Of the lines of /proc/PID/maps or smaps. */
  static List<Area> parse(List<String> lines) {
    List<Area> areas = new ArrayList<>();
    Area last = null;
    for (String line : lines) {
      String[] words = line.split(" +", 6);
      if (words.length >= 5 && words[0].indexOf('-') > 0 && words[1].length() == 4) {
        last = parse(words);
        if (last != null) {
          areas.add(last);
        }
      } else if (last != null && line.startsWith("VmFlags:") && isSpecial(line)) {
        areas.remove(last);
      }
    }
    return areas;
  }

  private static boolean isSpecial(String flags) {
    return flags.contains(" lo") || flags.contains(" wf");
  }

  private static Area parse(String[] words) {
    String name = words.length > 5 ? words[5].strip() : "";
    boolean anonymous = NAMES.contains(name) || name.startsWith("[anon:");
    if (!anonymous || words[1].charAt(3) != 'p' || !words[4].equals("0")) {
      return null;
    }
    int dash = words[0].indexOf('-');
    return new Area(
        Long.parseUnsignedLong(words[0].substring(0, dash), 16),
        Long.parseUnsignedLong(words[0].substring(dash + 1), 16));
  }

  /** Whether any of its pages are locked in memory, see mlock(2). */
  static boolean someLocked(int pid) throws IOException {
    return Files.readAllLines(Path.of("/proc/" + pid + "/status")).stream()
        .anyMatch(line -> line.startsWith("VmLck:") && !line.contains("\t       0 kB"));
  }

  /** What is left of it without a range. */
  List<Area> without(long from, long to) {
    if (to <= start || from >= end) {
      return List.of(this);
    }
    List<Area> left = new ArrayList<>();
    if (from > start) {
      left.add(new Area(start, from));
    }
    if (to < end) {
      left.add(new Area(to, end));
    }
    return left;
  }
}
