package dev.exile.migration;

import dev.exile.negotiation.UnixSurvey;
import dev.exile.sockets.TakenSockets;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Paths where the tree's unix sockets are bound. CRIU makes them anew at the destination; at home
 * they are in the way of the next who wants the name, or of a return.
 */
final class UnixPaths {
  private static final int FILE_TYPE = 0170000;
  private static final int SOCKET = 0140000;

  private UnixPaths() {}

  /**
   * Those of the frozen tree's sockets, with their inodes.
   *
   * @throws IOException where one of the sockets has come to be connected to a process that stays
   */
  static Map<String, Long> of(List<TakenSockets.OtherSocket> sockets) throws IOException {
    UnixSurvey.Findings found = UnixSurvey.of(sockets);
    if (!found.refusals().isEmpty()) {
      throw new IOException(found.refusals().get(0).what());
    }
    Map<String, Long> paths = new TreeMap<>();
    for (String name : found.bound()) {
      Path path = Path.of(name.replace('\0', '@'));
      if (path.isAbsolute() && isSocket(path)) {
        paths.put(name, inode(path));
      }
    }
    return paths;
  }

  /** The same at the destination, where they are to be made. */
  static Map<String, Long> named(List<String> paths) {
    Map<String, Long> named = new TreeMap<>();
    paths.forEach(path -> named.put(path, 0L));
    return named;
  }

  /** The same once they have been made. */
  static Map<String, Long> made(Map<String, Long> paths) throws IOException {
    Map<String, Long> made = new TreeMap<>();
    for (String name : paths.keySet()) {
      Path path = Path.of(name);
      made.put(name, isSocket(path) ? inode(path) : 0L);
    }
    return made;
  }

  /** Removes those that are still the very same sockets. */
  static void remove(Map<String, Long> paths) throws IOException {
    for (Map.Entry<String, Long> entry : paths.entrySet()) {
      Path path = Path.of(entry.getKey());
      if (entry.getValue() != 0 && isSocket(path) && entry.getValue() == inode(path)) {
        Files.deleteIfExists(path);
      }
    }
  }

  private static long inode(Path path) throws IOException {
    return (long) Files.getAttribute(path, "unix:ino", LinkOption.NOFOLLOW_LINKS);
  }

  private static boolean isSocket(Path path) throws IOException {
    return Files.exists(path, LinkOption.NOFOLLOW_LINKS)
        && ((int) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS) & FILE_TYPE)
            == SOCKET;
  }
}
