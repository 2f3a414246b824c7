package dev.exile.migration;

import java.security.SecureRandom;
import java.util.HexFormat;

/**
 * Names of migrations: short enough to type, random enough to be met once in a cluster. A migration
 * whose process is moved more than once has legs: the first is named as the migration itself, each
 * further one by a dash and a number behind it.
 */
public final class MigrationId {
  private static final SecureRandom RANDOM = new SecureRandom();

  private MigrationId() {}

  /** A new one: ten hexadecimal digits. */
  public static String create() {
    byte[] bytes = new byte[5];
    RANDOM.nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  /** Whether it may be one, or a leg's; it becomes part of file names. */
  public static boolean isValid(String id) {
    return id.matches("[0-9a-f]{10}(-[0-9]{1,9})?");
  }

  /** The name of a leg; numbers begin with 2. */
  static String leg(String migration, int number) {
    return migration + "-" + number;
  }

  /** The migration that a leg belongs to. */
  public static String base(String leg) {
    int dash = leg.indexOf('-');
    return dash < 0 ? leg : leg.substring(0, dash);
  }
}
