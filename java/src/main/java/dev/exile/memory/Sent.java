package dev.exile.memory;

/** What the destination has of one address space, as it was when it was last sent. */
final class Sent {
  private final boolean everything;
  private final PageSet known = new PageSet();
  private final PageSet data = new PageSet();

  /** It has nothing. */
  Sent() {
    this(false);
  }

  /**
   * @param everything it may have data of any page
   */
  Sent(boolean everything) {
    this.everything = everything;
  }

  /** It has the content of this range. */
  void addData(long start, long end) {
    known.add(start, end);
    data.add(start, end);
  }

  /** Pages of which it has data. */
  PageSet data() {
    return data;
  }

  /** It takes this range for zeros. */
  void addZeros(long start, long end) {
    known.add(start, end);
  }

  /** From now on it is to have no data of the range; false where it has none. */
  boolean forgetData(long start, long end) {
    return data.remove(start, end) || everything;
  }

  /** What it has is void: another area is there now. */
  void isVoid(long start, long end) {
    known.remove(start, end);
  }

  /** All that it has is void. */
  void isAllVoid() {
    known.clear();
  }

  /** Pages of which it knows nothing. */
  PageSet unknownOf(PageSet pages) {
    return pages.minus(known);
  }

  /** Pages of which it has data, although they hold none any more. */
  PageSet staleWithout(PageSet populated) {
    return data.minus(populated);
  }
}
