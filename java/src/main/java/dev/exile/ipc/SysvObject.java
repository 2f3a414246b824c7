package dev.exile.ipc;

import dev.exile.linux.SysvIpc;
import java.io.IOException;

/**
 * A SysV IPC object.
 *
 * @param key as it was made with, 0 for IPC_PRIVATE
 * @param id its identifier in its IPC namespace
 * @param sole whether only processes of the moved tree have used it; else nobody is known to have
 */
public record SysvObject(Kind kind, int key, int id, boolean sole) {
  /** What it is; the kernel numbers each kind for itself. */
  public enum Kind {
    /** Shared memory. */
    SEGMENT("SysV shared memory segment", "shm"),
    /** A message queue. */
    QUEUE("SysV message queue", "msg"),
    /** A set of semaphores. */
    SET("SysV semaphore set", "sem");

    private final String text;
    private final String table;

    Kind(String text, String table) {
      this.text = text;
      this.table = table;
    }

    /** The name of its table below /proc/sysvipc, and in CRIU's images. */
    public String table() {
      return table;
    }
  }

  /** Removes it. */
  void remove() throws IOException {
    switch (kind) {
      case SEGMENT -> SysvIpc.removeSegment(id);
      case QUEUE -> SysvIpc.removeQueue(id);
      case SET -> SysvIpc.removeSet(id);
    }
  }

  /** Whether the other is the same object. */
  boolean is(SysvObject other) {
    return kind == other.kind && id == other.id && key == other.key;
  }

  /** For operators. */
  String describe() {
    return "%s %d (key 0x%08x)".formatted(kind.text, id, key);
  }
}
