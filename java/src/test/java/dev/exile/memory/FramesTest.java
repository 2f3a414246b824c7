package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class FramesTest {
  private final Frames frames = new Frames();

  @Test
  void whatIsPutIsFoundAtItsPageAlone() {
    List<Long> pages = List.of(0x1000L, 0x1ff000L, 0x200000L, 0x7ffffffff000L, 0x7fff00001000L);
    pages.forEach(page -> assertEquals(0, frames.at(page)));
    pages.forEach(page -> frames.put(page, (int) (page >>> 12)));
    for (long page : pages) {
      assertEquals((int) (page >>> 12), frames.at(page));
      assertEquals(0, frames.at(page - 2 * PageSet.PAGE));
    }
  }
}
