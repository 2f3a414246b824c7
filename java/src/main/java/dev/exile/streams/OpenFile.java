package dev.exile.streams;

import dev.exile.process.Proc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A descriptor of a process, as /proc tells of it.
 *
 * @param target what it leads to, as {@code pipe:[4711]} or a path
 * @param access how it was opened: O_RDONLY, O_WRONLY or O_RDWR
 */
record OpenFile(int pid, int fd, String target, int access) {
  private static final String PIPE = "pipe:[";
  private static final Pattern FLAGS = Pattern.compile("flags:\\s*(\\d+)");
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
        String target = entry.getValue();
        if (target.startsWith(PIPE) || (target.startsWith("/") && !target.startsWith("/dev/"))) {
          access(pid, entry.getKey())
              .ifPresent(access -> open.add(new OpenFile(pid, entry.getKey(), target, access)));
        }
      }
    }
    return open;
  }

  boolean isPipe() {
    return target.startsWith(PIPE);
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
    return access != O_WRONLY;
  }

  boolean writable() {
    return access != O_RDONLY;
  }

  /** Empty where it has been closed meanwhile: then it is no end of anything. */
  private static Optional<Integer> access(int pid, int fd) {
    return Proc.read(pid, "fdinfo/" + fd)
        .map(FLAGS::matcher)
        .filter(Matcher::find)
        .map(flags -> Integer.parseInt(flags.group(1), 8) & O_ACCMODE);
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
