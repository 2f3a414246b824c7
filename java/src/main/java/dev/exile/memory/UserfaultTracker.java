package dev.exile.memory;

import dev.exile.linux.PagemapScan;
import dev.exile.linux.Userfault;
import java.io.IOException;

/**
 * Tracks by asynchronous write protection: a write costs the process one minor fault per page and
 * round, and no freeze is needed to look (design, section 3). Linux 6.7.
 */
final class UserfaultTracker implements Tracker {
  private final Userfault userfault;
  private final PagemapScan scan;

  /** Areas that could not be registered whole, as they were just changing. */
  private final PageSet doubtful = new PageSet();

  /**
   * @param userfault of the process; both are closed with the tracker
   */
  UserfaultTracker(Userfault userfault, PagemapScan scan) {
    this.userfault = userfault;
    this.scan = scan;
  }

  /** Each area is looked at in one step of its own. */
  @Override
  public boolean begin() {
    return true;
  }

  @Override
  public void end() {}

  @Override
  public Written look(Area area) throws IOException {
    PageSet pages = new PageSet();
    boolean doubted = doubtful.remove(area.start(), area.end());
    if (!doubted && scan.writtenAndProtect(area.start(), area.end(), pages::add)) {
      return new Written(pages, false);
    }
    // It has come, or changed its place, since.
    PageSet all = new PageSet();
    if (userfault.register(area.start(), area.end())) {
      scan.writtenAndProtect(area.start(), area.end(), (start, end) -> {});
    } else {
      doubtful.add(area.start(), area.end());
    }
    scan.populated(area.start(), area.end(), all::add);
    return new Written(all, true);
  }

  @Override
  public Written lookAtLast(Area area) throws IOException {
    PageSet pages = new PageSet();
    boolean doubted = doubtful.remove(area.start(), area.end());
    if (!doubted && scan.written(area.start(), area.end(), pages::add)) {
      return new Written(pages, false);
    }
    PageSet all = new PageSet();
    scan.populated(area.start(), area.end(), all::add);
    return new Written(all, true);
  }

  @Override
  public void close() throws IOException {
    userfault.close();
    scan.close();
  }
}
