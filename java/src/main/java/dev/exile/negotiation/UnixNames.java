package dev.exile.negotiation;

import dev.exile.linux.UnixDiag;
import dev.exile.linux.UnixDiag.UnixSocket;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Optional;

/** Names of unix sockets on this host. */
final class UnixNames {
  private static final int FILE_TYPE = 0170000;
  private static final int SOCKET = 0140000;

  private UnixNames() {}

  /** Whether somebody receives datagrams at that path. */
  static boolean isDatagramSocket(String path) throws IOException {
    Path file = Path.of(path);
    if (!Files.exists(file)
        || ((int) Files.getAttribute(file, "unix:mode") & FILE_TYPE) != SOCKET) {
      return false;
    }
    // /dev/log, say, is a link to where the socket is.
    String real = file.toRealPath().toString();
    for (UnixSocket socket : UnixDiag.all()) {
      boolean there = socket.name().equals(path) || socket.name().equals(real);
      if (there && socket.type() == UnixDiag.DGRAM) {
        return true;
      }
    }
    return false;
  }

  /** What keeps a socket from having that name here; empty where nothing does. */
  static Optional<String> obstacle(String name) throws IOException {
    if (name.startsWith("\0")) {
      boolean taken = UnixDiag.all().stream().anyMatch(socket -> socket.name().equals(name));
      return taken ? Optional.of("the name is taken") : Optional.empty();
    }
    Path path = Path.of(name);
    if (!path.isAbsolute()) {
      return Optional.of("its path is relative");
    }
    if (Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      return Optional.of("there is a file of that name");
    }
    return Files.isDirectory(path.getParent())
        ? Optional.empty()
        : Optional.of("there is no directory " + path.getParent());
  }
}
