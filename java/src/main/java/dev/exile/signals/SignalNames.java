package dev.exile.signals;

import java.util.List;

/** Names of signals, see signal(7) for x86. */
public final class SignalNames {
  private static final int FIRST_REALTIME = 34; // what SIGRTMIN is to programs that use glibc
  private static final List<String> STANDARD =
      List.of(
          "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
          "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
          "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS");

  private SignalNames() {}

  /** Such as SIGTERM, SIGRTMIN+3; 32 and 33, which glibc keeps for itself, have no name. */
  public static String of(int number) {
    if (number >= 1 && number <= STANDARD.size()) {
      return "SIG" + STANDARD.get(number - 1);
    }
    if (number < FIRST_REALTIME) {
      return "signal " + number;
    }
    return number == FIRST_REALTIME ? "SIGRTMIN" : "SIGRTMIN+" + (number - FIRST_REALTIME);
  }
}
