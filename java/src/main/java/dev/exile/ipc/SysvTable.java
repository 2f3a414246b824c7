package dev.exile.ipc;

import dev.exile.linux.Errno;
import dev.exile.linux.SysvIpc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What /proc/sysvipc tells of the objects of this IPC namespace, see proc_sysvipc(5). */
final class SysvTable {
  private static final Path TABLES = Path.of("/proc/sysvipc");

  private SysvTable() {}

  /**
   * One object as the kernel lists it.
   *
   * @param users PIDs of those who last used it in one way or another, as far as the kernel keeps
   *     them: they may have ended
   * @param creator UID of who made it
   * @param changedSeconds when it was made or its permissions were changed, seconds since 1970
   * @param usedSeconds when it was last used, seconds since 1970, 0 for never
   * @param bytes of a segment
   * @param attached how many times a segment is mapped
   */
  record Row(
      SysvObject.Kind kind,
      int key,
      int id,
      Set<Integer> users,
      int creator,
      long changedSeconds,
      long usedSeconds,
      long bytes,
      int attached) {

    SysvObject object(boolean sole) {
      return new SysvObject(kind, key, id, sole);
    }
  }

  /** All objects. */
  static List<Row> read() throws IOException {
    List<Row> rows = new ArrayList<>();
    for (SysvObject.Kind kind : SysvObject.Kind.values()) {
      List<String> lines = Files.readAllLines(TABLES.resolve(kind.table()));
      String[] names = lines.get(0).trim().split("\\s+", -1);
      for (String line : lines.subList(1, lines.size())) {
        rows.add(row(kind, names, line.trim().split("\\s+", -1)));
      }
    }
    return rows;
  }

  private static Row row(SysvObject.Kind kind, String[] names, String[] values) throws IOException {
    Map<String, Long> fields = new HashMap<>();
    for (int i = 0; i < names.length; i++) {
      fields.put(names[i], Long.parseLong(values[i]));
    }
    int id = fields.get(idName(kind)).intValue();
    Set<Integer> users = new LinkedHashSet<>();
    for (String name : List.of("cpid", "lpid", "lspid", "lrpid")) {
      users.add(fields.getOrDefault(name, 0L).intValue());
    }
    if (kind == SysvObject.Kind.SET) {
      semaphores(id, fields.get("nsems").intValue(), users);
    }
    users.remove(0);
    long used = 0;
    for (String name : List.of("atime", "dtime", "stime", "rtime", "otime")) {
      used = Math.max(used, fields.getOrDefault(name, 0L));
    }
    return new Row(
        kind,
        fields.get("key").intValue(),
        id,
        users,
        fields.get("cuid").intValue(),
        fields.get("ctime"),
        used,
        fields.getOrDefault("size", 0L),
        fields.getOrDefault("nattch", 0L).intValue());
  }

  private static String idName(SysvObject.Kind kind) {
    return kind == SysvObject.Kind.QUEUE ? "msqid" : kind.table() + "id";
  }

  private static void semaphores(int set, int count, Set<Integer> users) {
    try {
      for (int i = 0; i < count; i++) {
        users.add(SysvIpc.lastUser(set, i));
      }
    } catch (Errno e) {
      users.remove(0); // removed meanwhile: nobody's any more
    }
  }
}
