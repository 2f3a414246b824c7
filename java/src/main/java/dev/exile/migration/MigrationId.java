package dev.exile.migration;

import java.security.SecureRandom;
import java.util.HexFormat;

/** Names of migrations: short enough to type, random enough to be met once in a cluster. */
public final class MigrationId {
  private static final SecureRandom RANDOM = new SecureRandom();

  private MigrationId() {}

  /** A new one: ten hexadecimal digits. */
  public static String create() {
    byte[] bytes = new byte[5];
    RANDOM.nextBytes(bytes);
    return HexFormat.of().formatHex(bytes);
  }

  /** Whether it may be one; it becomes part of file names. */
  public static boolean isValid(String id) {
    return id.matches("[0-9a-f]{10}");
  }
}
