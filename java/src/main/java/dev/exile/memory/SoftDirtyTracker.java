package dev.exile.memory;

import dev.exile.linux.PagemapScan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tracks by the kernel's soft-dirty bits (CONFIG_MEM_SOFT_DIRTY, Linux 3.11 and later, see
 * Documentation/admin-guide/mm/soft-dirty.rst): a write costs the process one minor fault per page
 * and round. They are read page by page, and cleared of the whole process at once; so that no write
 * comes between, the process stands from the second look on, for some ms per GB.
 *
 * <p>The bits alone do not do. Where mremap(2) moves whole page tables, from one address that is a
 * multiple of 2 MB to another, what has come to a place looks as unwritten as what was there
 * before. So it is remembered which page of the machine each was, and another one counts as
 * written. Whoever else clears the bits of the same process meanwhile spoils it.
 */
final class SoftDirtyTracker implements Tracker {
  private static final Logger LOG = LoggerFactory.getLogger(SoftDirtyTracker.class);
  private static final int TRIES = 3;

  private final int pid;
  private final TrackJob job;
  private final PagemapScan scan;
  private final Path clearRefs;

  /** As the last look found them. */
  private Frames frames = new Frames();

  /** As this one does. */
  private Frames found = new Frames();

  /** There has been no look whose word could be taken. */
  private boolean first = true;

  private boolean stands;

  /**
   * @param scan of the process; it is closed with the tracker
   */
  SoftDirtyTracker(int pid, TrackJob job, PagemapScan scan) {
    this.pid = pid;
    this.job = job;
    this.scan = scan;
    this.clearRefs = Path.of("/proc/" + pid + "/clear_refs");
  }

  @Override
  public boolean begin() throws IOException {
    found = new Frames();
    if (first) {
      clear(); // all that is there is found as it is now or later, and what is written now again
      return true;
    }
    for (int i = 0; i < TRIES && !stands; i++) {
      stands = job.stand(pid);
    }
    return stands;
  }

  @Override
  public Written look(Area area) throws IOException {
    return new Written(differing(area), false);
  }

  /** Pages that were written or have come since the last look. */
  private PageSet differing(Area area) throws IOException {
    Runs runs = new Runs();
    scan.entries(
        area.start(),
        area.end(),
        (page, entry) -> {
          int frame = frame(entry);
          if ((entry & PagemapScan.SOFT_DIRTY) != 0 || frame == 0 || frame != frames.at(page)) {
            runs.add(page);
          }
          found.put(page, frame);
        });
    return runs.end();
  }

  /** In few bits; 0: not known. */
  private static int frame(long entry) {
    int number = (int) (entry & PagemapScan.FRAME);
    return (entry & PagemapScan.IN_SWAP) != 0 ? ~number : number;
  }

  @Override
  public void end() throws IOException {
    boolean holds = first;
    if (stands) {
      clear();
      holds = job.go(pid);
      stands = false;
    }
    if (!holds) {
      LOG.debug("process {} went on while it was looked at; all of it counts as written", pid);
    }
    first = !holds;
    frames = holds ? found : new Frames();
    found = new Frames();
  }

  private void clear() throws IOException {
    Files.writeString(clearRefs, "4");
  }

  @Override
  public Written lookAtLast(Area area) throws IOException {
    return new Written(differing(area), false);
  }

  /** The bits stay: they cost nothing. */
  @Override
  public void close() throws IOException {
    try (scan) {
      if (stands) {
        stands = false;
        job.go(pid);
      }
    }
  }

  /** Makes ranges of pages that come in order. */
  private static final class Runs {
    private final PageSet pages = new PageSet();
    private long start;
    private long end;

    void add(long page) {
      if (page != end) {
        pages.add(start, end);
        start = page;
      }
      end = page + PageSet.PAGE;
    }

    PageSet end() {
      pages.add(start, end);
      return pages;
    }
  }
}
