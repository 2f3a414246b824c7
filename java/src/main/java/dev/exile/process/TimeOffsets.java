package dev.exile.process;

/**
 * What the clocks of a process's time namespace are ahead of the machine's, see time_namespaces(7).
 * In nanoseconds; 0 where the kernel has no time namespaces.
 *
 * @param monotonic of CLOCK_MONOTONIC
 * @param boottime of CLOCK_BOOTTIME
 */
public record TimeOffsets(long monotonic, long boottime) {
  private static final long SECOND = 1_000_000_000;

  /** Those of a process. */
  public static TimeOffsets of(int pid) {
    return parse(Proc.read(pid, "timens_offsets").orElse(""));
  }

  /** Those of this agent. */
  public static TimeOffsets own() {
    return of((int) ProcessHandle.current().pid());
  }

  /** A line per clock: its name, seconds, nanoseconds. */
  static TimeOffsets parse(String text) {
    long monotonic = 0;
    long boottime = 0;
    for (String line : text.split("\n", -1)) {
      String[] words = line.trim().split("\\s+", -1);
      if (words.length == 3) {
        long offset = Long.parseLong(words[1]) * SECOND + Long.parseLong(words[2]);
        switch (words[0]) {
          case "monotonic" -> monotonic = offset;
          case "boottime" -> boottime = offset;
          default -> {} // of a later kernel
        }
      }
    }
    return new TimeOffsets(monotonic, boottime);
  }
}
