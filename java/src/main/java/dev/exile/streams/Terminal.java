package dev.exile.streams;

import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import dev.exile.rpc.peer.TerminalPlan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The terminal at home that a process tree uses: by descriptors, or as its controlling terminal.
 *
 * @param path such as /dev/pts/7
 * @param index 7 of that
 * @param leader whether the leader of the terminal's session is in the tree
 * @param reads whether it may read keys: it is its standard input, or has been opened by name
 * @param keys what CRIU is to be given the new terminal for, as its --inherit-fd names it
 */
public record Terminal(Path path, int index, boolean leader, boolean reads, List<String> keys) {
  /** It has no name of its own: whoever opens it means the controlling terminal. */
  private static final String CONTROLLING = "/dev/tty";

  private static final String PTS = "/dev/pts/";
  private static final int FIRST_PTS_MAJOR = 136;
  private static final int LAST_PTS_MAJOR = 143;

  /** A tree that uses what cannot travel; the message names it. */
  public static final class Unfit extends IOException {
    private static final long serialVersionUID = 1;

    Unfit(String message) {
      super(message);
    }
  }

  /**
   * The terminal of these processes, the tree's root first; null where they have none.
   *
   * @throws Unfit where they have several, or one that is no pseudo terminal
   */
  public static Terminal of(List<Integer> pids) throws IOException {
    Map<String, String> uses = new TreeMap<>();
    boolean controlling = false;
    boolean leader = false;
    boolean reads = false;
    for (int pid : pids) {
      ProcessInfo info = Proc.info(pid).orElse(null);
      if (info == null) {
        continue;
      }
      if (info.terminal() != 0) {
        uses.putIfAbsent(name(info.terminal()), "the controlling terminal of " + process(info));
        leader |= info.session() == pid;
      }
      for (Map.Entry<Integer, String> entry : Proc.descriptors(pid).entrySet()) {
        String target = entry.getValue();
        String where = "descriptor " + entry.getKey() + " of " + process(info);
        if (target.equals("/dev/ptmx") || target.equals(PTS + "ptmx")) {
          throw new Unfit(where + " is the master of a pseudo terminal");
        }
        if (target.equals(CONTROLLING)) {
          controlling = true;
        } else if (target.startsWith(PTS) || target.startsWith("/dev/tty")) {
          uses.putIfAbsent(target, where);
          reads |= entry.getKey() == 0;
        }
      }
    }
    return uses.isEmpty() ? null : one(uses, leader, controlling, reads);
  }

  private static String process(ProcessInfo info) {
    return "process " + info.pid() + " (" + info.command() + ")";
  }

  /** By its device number, as /proc/PID/stat tells it. */
  private static String name(int device) {
    int major = (device >> 8) & 0xfff;
    int minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
    return major >= FIRST_PTS_MAJOR && major <= LAST_PTS_MAJOR
        ? PTS + ((major - FIRST_PTS_MAJOR) * 256 + minor)
        : "/dev/char/" + major + ":" + minor;
  }

  private static Terminal one(
      Map<String, String> uses, boolean leader, boolean controlling, boolean reads)
      throws IOException {
    List<String> names = List.copyOf(uses.keySet());
    if (names.size() > 1) {
      throw new Unfit(
          "%s is %s, and %s is %s: two terminals"
              .formatted(
                  uses.get(names.get(0)), names.get(0), uses.get(names.get(1)), names.get(1)));
    }
    String name = names.get(0);
    if (!name.matches(PTS + "\\d+")) {
      throw new Unfit("%s is %s, which is no pseudo terminal".formatted(uses.get(name), name));
    }
    Path path = Path.of(name);
    List<String> keys = new ArrayList<>();
    if (leader) {
      keys.add(key(path));
    }
    if (controlling) {
      keys.add(key(Path.of(CONTROLLING)));
    }
    return new Terminal(
        path,
        Integer.parseInt(name.substring(PTS.length())),
        leader,
        reads || controlling || leader,
        keys);
  }

  /** What a dump has to leave out: CRIU does not know how to open it again. */
  public static List<String> external() throws IOException {
    return List.of(key(Path.of(CONTROLLING)));
  }

  private static String key(Path device) throws IOException {
    return "tty[%x:%x]"
        .formatted(
            (long) Files.getAttribute(device, "unix:rdev"),
            (long) Files.getAttribute(device, "unix:dev"));
  }

  /** What the destination has to know of it. */
  TerminalPlan plan(String name) throws IOException {
    Map<String, Object> owner = Files.readAttributes(path, "unix:uid,gid,mode");
    return TerminalPlan.newBuilder()
        .setName(name)
        .setIndex(index)
        .setUid((int) owner.get("uid"))
        .setGid((int) owner.get("gid"))
        .setMode((int) owner.get("mode") & 07777)
        .setLeader(leader)
        .addAllKeys(keys)
        .build();
  }
}
