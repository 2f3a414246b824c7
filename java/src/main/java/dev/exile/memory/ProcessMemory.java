package dev.exile.memory;

import dev.exile.linux.PagemapScan;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** The memory of one process at home, as it travels. One thread at a time. */
final class ProcessMemory implements Closeable {
  /** What CRIU and the deputy's making write, or need to be there, around where a thread stands. */
  private static final long BELOW = 2L * PageSet.PAGE;

  private static final long ABOVE = 16L * PageSet.PAGE;

  private final int pid;
  private final FileChannel memory;
  private final PagemapScan scan;
  private final Sent sent;
  private final AddressSpace program;

  /**
   * Looked for before the freeze, as it takes long; what locks pages later is noticed all the same.
   */
  private final boolean hasSpecial;

  /** Null: nothing is known of what it writes. */
  private Tracker tracker;

  private List<Area> areas = List.of();

  /** Populated pages that the destination does not have as they are; in the freeze. */
  private PageSet due = new PageSet();

  /** Those of them that were written since the last look, or all where nobody has looked. */
  private PageSet dirty = new PageSet();

  /**
   * @param tracker this object's from now on; null: nothing is known of what it writes
   */
  ProcessMemory(int pid, Tracker tracker) throws IOException {
    this(pid, tracker, new Sent());
  }

  private ProcessMemory(int pid, Tracker tracker, Sent sent) throws IOException {
    this.pid = pid;
    this.tracker = tracker;
    this.sent = sent;
    this.program = AddressSpace.of(pid);
    this.hasSpecial = !Area.of(pid, true).equals(Area.of(pid, false));
    this.scan = PagemapScan.of(pid);
    try {
      memory = FileChannel.open(Path.of("/proc/" + pid + "/mem"), StandardOpenOption.READ);
    } catch (IOException e) {
      scan.close();
      throw e;
    }
  }

  int pid() {
    return pid;
  }

  /**
   * Whether the process has executed another program since: what is open here is of no use then.
   */
  boolean isAnother() throws IOException {
    return !program.equals(AddressSpace.of(pid));
  }

  /** The same process with that program's memory; this one is closed. */
  ProcessMemory anew(Tracker ofNew) throws IOException {
    close();
    sent.isAllVoid();
    return new ProcessMemory(pid, ofNew, sent);
  }

  boolean isTracked() {
    return tracker != null;
  }

  // ---- While it runs. ----

  /** Pages that the destination does not have as they are; from now on those count that follow. */
  PageSet look() throws IOException {
    PageSet found = new PageSet();
    if (!tracker.begin()) {
      return found;
    }
    try {
      for (Area area : Area.of(pid, false)) {
        Tracker.Written written = tracker.look(area);
        if (written.all()) {
          sent.isVoid(area.start(), area.end());
        }
        found.addAll(written.pages());
      }
    } finally {
      tracker.end();
    }
    return found;
  }

  /** Sends pages as they are now; what is gone meanwhile is found by the next look. */
  void send(PageSet pages, PageSender sender) throws IOException, InterruptedException {
    List<long[]> ranges = new ArrayList<>();
    pages.forEach((start, end) -> ranges.add(new long[] {start, end}));
    for (long[] range : ranges) {
      try {
        sender.send(memory, pid, range[0], range[1], sent);
      } catch (PageSender.UnreadableException e) {
        sendEach(range, sender);
      }
    }
  }

  /** A part of the range is not there any more. */
  private void sendEach(long[] range, PageSender sender) throws IOException, InterruptedException {
    for (long page = range[0]; page < range[1]; page += PageSet.PAGE) {
      try {
        sender.send(memory, pid, page, page + PageSet.PAGE, sent);
      } catch (PageSender.UnreadableException e) {
        sent.isVoid(page, page + PageSet.PAGE);
      }
    }
  }

  // ---- In the freeze. ----

  /**
   * Finds out what is still due. The tracker stays until all is closed: it harms no frozen process,
   * and lifting its protection takes the kernel 1 to 4 us for each page (2 GB: 2.3 s).
   */
  void freeze(PageSender sender) throws IOException, InterruptedException {
    areas = withoutThreads(Area.of(pid, hasSpecial || Area.someLocked(pid)));
    PageSet populated = new PageSet();
    PageSet written = new PageSet();
    for (Area area : areas) {
      scan.populated(area.start(), area.end(), populated::add);
      if (tracker != null) {
        Tracker.Written last = tracker.lookAtLast(area);
        if (last.all()) {
          sent.isVoid(area.start(), area.end());
        }
        written.addAll(last.pages());
      }
    }
    due = sent.unknownOf(populated);
    due.addAll(written);
    dirty = tracker != null ? written : due;
    List<long[]> stale = new ArrayList<>();
    sent.staleWithout(populated).forEach((start, end) -> stale.add(new long[] {start, end}));
    for (long[] range : stale) {
      sender.drop(pid, range[0], range[1], sent);
    }
  }

  /** Around where its threads stand all travels with CRIU. */
  private List<Area> withoutThreads(List<Area> all) throws IOException {
    List<Area> left = all;
    List<Path> tasks;
    try (Stream<Path> listed = Files.list(Path.of("/proc/" + pid + "/task"))) {
      tasks = listed.toList();
    }
    for (Path task : tasks) {
      String[] words = Files.readString(task.resolve("syscall")).strip().split(" ", -1);
      for (int i = Math.max(0, words.length - 2); i < words.length && words.length >= 3; i++) {
        long at = Long.decode(words[i]) & -PageSet.PAGE;
        left =
            left.stream().flatMap(area -> area.without(at - BELOW, at + ABOVE).stream()).toList();
      }
    }
    return left;
  }

  /** What travels page by page. */
  List<Area> areas() {
    return areas;
  }

  /** What was sent, and is not zeros. */
  PageSet sentData() {
    return sent.data();
  }

  /** Populated pages that the destination does not have as they are. */
  PageSet due() {
    return due;
  }

  /** Sends what is due, as much as fits; the rest stays due. Returns how many bytes it was. */
  long sendDue(PageSender sender, long limit) throws IOException, InterruptedException {
    return send(due, sender, limit);
  }

  /** The same of what was written since the last look alone. */
  long sendDirty(PageSender sender, long limit) throws IOException, InterruptedException {
    return send(dirty, sender, limit);
  }

  private long send(PageSet pages, PageSender sender, long limit)
      throws IOException, InterruptedException {
    List<long[]> ranges = new ArrayList<>();
    pages.forEach((start, end) -> ranges.add(new long[] {start, end}));
    long sentBytes = 0;
    for (long[] range : ranges) {
      long length = Math.min(range[1] - range[0], (limit - sentBytes) & -PageSet.PAGE);
      if (length <= 0) {
        break;
      }
      sendRange(range[0], range[0] + length, sender);
      sentBytes += length;
    }
    return sentBytes;
  }

  /** Sends a range that the destination asks for; it must be among those that are due. */
  void sendRange(long start, long end, PageSender sender) throws IOException, InterruptedException {
    sender.send(memory, pid, start, end, sent);
    due.remove(start, end);
  }

  @Override
  public void close() throws IOException {
    Tracker ending = tracker;
    tracker = null;
    try (memory;
        scan) {
      if (ending != null) {
        ending.close();
      }
    }
  }
}
