package dev.exile.process;

/**
 * What /proc tells of one process at one moment, see proc(5).
 *
 * @param pid in the PID namespace of this agent
 * @param parent its parent's PID, 0 where that is outside of the namespace
 * @param group process group
 * @param session session, 0 where its leader is outside of the namespace
 * @param terminal device number of the controlling terminal, 0 for none
 * @param state the letter of proc_pid_stat(5): R, S, D, T, t, Z, ...
 * @param startTicks start time in clock ticks since boot: with the PID it names a process for good
 * @param kernelThread whether it is a thread of the kernel
 * @param command the name, as {@code comm} shows it
 */
public record ProcessInfo(
    int pid,
    int parent,
    int group,
    int session,
    int terminal,
    char state,
    long startTicks,
    boolean kernelThread,
    String command) {
  private static final long PF_KTHREAD = 0x00200000;

  /** Parses a line of /proc/PID/stat; the name may hold spaces and parentheses. */
  static ProcessInfo parse(String stat) {
    int open = stat.indexOf('(');
    int close = stat.lastIndexOf(')');
    String[] rest = stat.substring(close + 2).trim().split(" ", -1);
    // rest[0] is field 3 of proc_pid_stat(5)
    return new ProcessInfo(
        Integer.parseInt(stat.substring(0, open).trim()),
        Integer.parseInt(rest[1]),
        Integer.parseInt(rest[2]),
        Integer.parseInt(rest[3]),
        Integer.parseInt(rest[4]),
        rest[0].charAt(0),
        Long.parseLong(rest[19]),
        (Long.parseLong(rest[6]) & PF_KTHREAD) != 0,
        stat.substring(open + 1, close));
  }
}
