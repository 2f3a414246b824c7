package dev.exile.ipc;

import dev.exile.process.Proc;
import java.util.ArrayList;
import java.util.List;

/**
 * A mapping of a process that has an inode, as a line of /proc/PID/maps tells it.
 *
 * @param device number of the file system's device, as stat(2) tells it
 * @param shared whether what is written to it is seen by others
 * @param path as the kernel shows it, without its mark for a deleted file
 * @param deleted whether that name is gone
 */
record Mapping(long device, long inode, boolean shared, String path, boolean deleted) {
  private static final String DELETED = " (deleted)";
  private static final int HEX = 16;

  /** All of a process; none where it has ended. */
  static List<Mapping> of(int pid) {
    List<Mapping> mappings = new ArrayList<>();
    for (String line : Proc.read(pid, "maps").orElse("").split("\n", -1)) {
      String[] fields = line.split("\\s+", 6);
      if (fields.length == 6 && fields[5].startsWith("/")) {
        boolean deleted = fields[5].endsWith(DELETED);
        mappings.add(
            new Mapping(
                device(fields[3]),
                Long.parseLong(fields[4]),
                fields[1].endsWith("s"),
                deleted ? undeleted(fields[5]) : fields[5],
                deleted));
      }
    }
    return mappings;
  }

  static String undeleted(String path) {
    return path.endsWith(DELETED) ? path.substring(0, path.length() - DELETED.length()) : path;
  }

  /** MAJOR:MINOR in hexadecimal, put together as the C library's makedev does. */
  private static long device(String text) {
    String[] parts = text.split(":", 2);
    long major = Long.parseLong(parts[0], HEX);
    long minor = Long.parseLong(parts[1], HEX);
    return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffL) << 12;
  }
}
