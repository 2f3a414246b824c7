package dev.exile.memory;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;

class AreaTest {
  @Test
  void privateAnonymousMemoryTravelsPageByPage() {
    List<String> maps =
        List.of(
            "55a000000000-55a000001000 rw-p 00002000 fe:00 260875                     /usr/bin/sleep",
            "55a000002000-55a000004000 rw-p 00000000 00:00 0                          [heap]",
            "7f0000000000-7f0000002000 ---p 00000000 00:00 0 ",
            "7f0000002000-7f0000003000 rw-p 00000000 00:00 0                          [anon: arena]",
            "7f0000003000-7f0000004000 rw-s 00000000 00:01 9             /dev/zero (deleted)",
            "7f0000004000-7f0000005000 r--p 00000000 00:00 0                          [vvar]",
            "7f0000005000-7f0000006000 r-xp 00000000 00:00 0                          [vdso]",
            "7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]",
            "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0              [vsyscall]");
    assertEquals(
        List.of(
            new Area(0x55a000002000L, 0x55a000004000L),
            new Area(0x7f0000000000L, 0x7f0000002000L),
            new Area(0x7f0000002000L, 0x7f0000003000L),
            new Area(0x7ffc00000000L, 0x7ffc00021000L)),
        Area.parse(maps));
  }

  @Test
  void lockedMemoryAndWhatIsWipedOnForkStayWithCriu() {
    List<String> smaps =
        List.of(
            "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ",
            "Size:                  4 kB",
            "VmFlags: rd wr mr mw me lo ac sd ",
            "7f0000001000-7f0000002000 rw-p 00000000 00:00 0 ",
            "VmFlags: rd wr mr mw me ac wf ",
            "7f0000002000-7f0000003000 rw-p 00000000 00:00 0 ",
            "VmFlags: rd wr mr mw me ac sd ");
    assertEquals(List.of(new Area(0x7f0000002000L, 0x7f0000003000L)), Area.parse(smaps));
  }

  @Test
  void aRangeIsCutOut() {
    Area area = new Area(0x4000, 0x8000);
    assertEquals(List.of(area), area.without(0x8000, 0x9000));
    assertEquals(List.of(area), area.without(0x1000, 0x4000));
    assertEquals(
        List.of(new Area(0x4000, 0x5000), new Area(0x6000, 0x8000)), area.without(0x5000, 0x6000));
    assertEquals(List.of(new Area(0x6000, 0x8000)), area.without(0x1000, 0x6000));
    assertEquals(List.of(), area.without(0x1000, 0x9000));
  }
}
