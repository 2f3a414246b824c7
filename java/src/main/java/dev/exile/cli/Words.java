package dev.exile.cli;

import dev.exile.rpc.control.Progress;
import java.util.Locale;

/** Numbers as people read them. */
final class Words {
  private static final long KB = 1_000;
  private static final long MB = 1_000_000;
  private static final long GB = 1_000_000_000;

  private Words() {}

  /** Decimal units, as network figures are. */
  static String bytes(long bytes) {
    if (bytes >= GB) {
      return String.format(Locale.ROOT, "%.2f GB", (double) bytes / GB);
    }
    if (bytes >= MB) {
      return String.format(Locale.ROOT, "%.1f MB", (double) bytes / MB);
    }
    return bytes >= KB
        ? String.format(Locale.ROOT, "%.1f kB", (double) bytes / KB)
        : bytes + " bytes";
  }

  /** Milliseconds below a second, seconds with one digit above. */
  static String duration(long millis) {
    return millis < 1_000 ? millis + " ms" : String.format(Locale.ROOT, "%.1f s", millis / 1_000.0);
  }

  /** How memory travels: round, rates and what is left, as far as it is known. */
  static String pace(Progress progress) {
    StringBuilder text = new StringBuilder();
    if (progress.getRound() > 0) {
      text.append(", round ").append(progress.getRound());
    }
    if (progress.getBytesPerSecond() > 0) {
      text.append(", ").append(bytes(progress.getBytesPerSecond())).append("/s");
    }
    if (progress.getDirtyBytesPerSecond() > 0) {
      text.append(", writes ").append(bytes(progress.getDirtyBytesPerSecond())).append("/s");
    }
    if (progress.getEtaMillis() >= 0 && progress.getBytesPerSecond() > 0) {
      text.append(", ").append(duration(progress.getEtaMillis())).append(" left");
    }
    return text.toString();
  }

  static String count(int number, String noun) {
    return number + " " + noun + (number == 1 ? "" : "s");
  }
}
