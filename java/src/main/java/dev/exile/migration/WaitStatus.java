package dev.exile.migration;

/** A status as wait(2) gives it. */
final class WaitStatus {
  private WaitStatus() {}

  /** In words, with a leading comma. */
  static String describe(int status) {
    int signal = status & 0x7f;
    return signal == 0 ? ", exit status " + (status >> 8 & 0xff) : ", killed by signal " + signal;
  }
}
