package dev.exile.streams;

import dev.exile.process.Proc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A descriptor of a process, as /proc tells of it.
 *
 * @param target what it leads to, as {@code pipe:[4711]} or a path
 */
record OpenFile(int pid, int fd, String target) {
  private static final int O_RDONLY = 0;
  private static final int O_WRONLY = 1;
  private static final int O_ACCMODE = 3;
  private static final int S_IFMT = 0170000;
  private static final int S_IFIFO = 0010000;

  /** All that these processes have open and that may be a stream: neither sockets nor devices. */
  static List<OpenFile> of(List<Integer> pids) {
    List<OpenFile> open = new ArrayList<>();
    for (int pid : pids) {
      for (Map.Entry<Integer, String> entry : Proc.descriptors(pid).entrySet()) {
        OpenFile file = new OpenFile(pid, entry.getKey(), entry.getValue());
        if (file.isPipe() || (file.target.startsWith("/") && !file.target.startsWith("/dev/"))) {
          open.add(file);
        }
      }
    }
    return open;
  }

  boolean isPipe() {
    return target.startsWith("pipe:[");
  }

  /** Whether it is a FIFO, by a name that is still there. */
  boolean isFifo() {
    if (!target.startsWith("/")) {
      return false;
    }
    try {
      int mode = (int) Files.getAttribute(Path.of("/proc/" + pid + "/fd/" + fd), "unix:mode");
      return (mode & S_IFMT) == S_IFIFO;
    } catch (IOException e) {
      return false; // closed meanwhile
    }
  }

  boolean readable() {
    return access() != O_WRONLY;
  }

  boolean writable() {
    return access() != O_RDONLY;
  }

  private int access() {
    String info = Proc.read(pid, "fdinfo/" + fd).orElse("flags:\t0");
    return Integer.parseInt(info.replaceAll("(?s).*flags:\\s*(\\d+).*", "$1"), 8) & O_ACCMODE;
  }

  /** The path as CRIU names it among what is inherited: without its first slash. */
  String key() {
    return isPipe() ? target : target.substring(1);
  }

  /** For operators. */
  String where() {
    return "descriptor "
        + fd
        + " of process "
        + pid
        + Proc.info(pid).map(info -> " (" + info.command() + ")").orElse("");
  }
}
