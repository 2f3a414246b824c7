package dev.exile.ipc;

import dev.exile.process.Proc;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a tree in exile shares by name. A cell that it came to with SysV objects has an IPC
 * namespace of its own, one with files of /dev/shm a tmpfs of its own there: all that is in them is
 * the tree's, and moves on with it. In a cell without, such things are the host's.
 */
public final class CellShared {
  private final boolean sysv;
  private final SharedFiles files;
  private final List<String> refused = new ArrayList<>();

  private CellShared(boolean sysv, SharedFiles files) {
    this.sysv = sysv;
    this.files = files;
  }

  /**
   * Looks a tree over, which may run or stand frozen.
   *
   * @param tree PIDs as this host counts, the root first
   * @param init of its cell
   */
  public static CellShared of(List<Integer> tree, int init) throws IOException {
    Path root = Path.of("/proc/" + init + "/root" + SharedFiles.ROOT);
    boolean ownFiles = !device(root).equals(device(SharedFiles.ROOT));
    CellShared shared =
        new CellShared(
            hasOwnIpc(tree.get(0)),
            ownFiles ? SharedFiles.allOf(tree, root) : SharedFiles.of(tree));
    shared.refused.addAll(shared.files.shared(tree));
    if (ownFiles) {
      for (Path path : shared.files.strange()) {
        shared.refused.add(
            "/dev/shm/%s is neither a file nor a directory".formatted(root.relativize(path)));
      }
    }
    if (!ownFiles && shared.files.any()) {
      shared.refused.add("it uses files below /dev/shm of this host");
    }
    if (!shared.sysv && !SysvUse.of(tree).objects().isEmpty()) {
      shared.refused.add("it uses SysV IPC objects of this host");
    }
    return shared;
  }

  private static boolean hasOwnIpc(int pid) throws IOException {
    String theirs =
        Proc.link(pid, "ns/ipc")
            .orElseThrow(() -> new IOException("process " + pid + " has ended"));
    return !theirs.equals(Proc.link((int) ProcessHandle.current().pid(), "ns/ipc").orElse(""));
  }

  private static Object device(Path path) throws IOException {
    return Files.getAttribute(path, "unix:dev");
  }

  /** Whether it has an IPC namespace of its own, which CRIU dumps as a whole. */
  public boolean sysv() {
    return sysv;
  }

  /** Whether it has a /dev/shm of its own, which {@link #settle} puts beside the images. */
  public boolean files() {
    return files.isWhole();
  }

  /** Bytes that its files add to the images. */
  public long bytes() throws IOException {
    return files() ? files.bytes() : 0;
  }

  /** Why it cannot travel, one sentence each. */
  public List<String> refused() {
    return List.copyOf(refused);
  }

  /**
   * In the freeze, after the dump: completes the images.
   *
   * @throws IOException where it has come to share what cannot travel
   */
  public void settle(Path images) throws IOException {
    if (!refused.isEmpty()) {
      throw new IOException(String.join("; ", refused));
    }
    if (files()) {
      SharedFilePack.write(images, files);
    }
  }
}
