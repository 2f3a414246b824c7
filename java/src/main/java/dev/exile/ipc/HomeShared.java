package dev.exile.ipc;

import dev.exile.criu.IpcImages;
import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Home's half of what a tree shares by name: found while it runs, looked at again in the freeze,
 * put into the images, and removed at home once it runs at the destination.
 */
public final class HomeShared {
  /** The image that holds the files of /dev/shm. */
  public static final String FILES_IMAGE = "dev-shm.img";

  private static final Logger LOG = LoggerFactory.getLogger(HomeShared.class);

  private final boolean sysv;
  private final boolean files;
  private final long bytes;
  private final List<String> refused;
  private List<SysvObject> objects = List.of();
  private Map<String, Long> names = Map.of();
  private List<Integer> frozen = List.of();

  private HomeShared(SysvUse use, SharedFiles shared, List<String> refused) throws IOException {
    this.sysv = !use.objects().isEmpty();
    this.files = shared.any();
    this.bytes = use.bytes() + shared.bytes();
    this.refused = refused;
  }

  /** Looks a running tree over. */
  public static HomeShared of(List<Integer> tree) throws IOException {
    SysvUse use = SysvUse.of(tree);
    SharedFiles shared = SharedFiles.of(tree);
    List<String> refused = new ArrayList<>(use.shared());
    refused.addAll(shared.shared(tree));
    return new HomeShared(use, shared, List.copyOf(refused));
  }

  /** Whether SysV objects travel: CRIU then has to dump from another IPC namespace. */
  public boolean sysv() {
    return sysv;
  }

  /** Whether files of /dev/shm travel. */
  public boolean files() {
    return files;
  }

  /** Bytes that all of it adds to the images. */
  public long bytes() {
    return bytes;
  }

  /** Why it cannot travel: what those who stay use, too. */
  public List<String> refused() {
    return refused;
  }

  /**
   * In the freeze: what belongs to the tree, now that it cannot change any more.
   *
   * @throws IOException where others have begun to use some of it
   */
  public void take(List<Integer> pids) throws IOException {
    frozen = List.copyOf(pids);
    List<String> shared = new ArrayList<>();
    if (sysv) {
      SysvUse use = SysvUse.of(pids);
      objects = use.objects();
      shared.addAll(use.shared());
    }
    if (files) {
      shared.addAll(SharedFiles.of(pids).shared(pids));
    }
    if (!shared.isEmpty()) {
      throw new IOException(String.join("; ", shared));
    }
  }

  /** In the freeze, after the dump: completes the images. */
  public void settle(Path images) throws IOException {
    if (sysv) {
      IpcImages.keep(
          images,
          objects.stream()
              .collect(
                  Collectors.groupingBy(
                      object -> object.kind().table(),
                      Collectors.mapping(SysvObject::id, Collectors.toSet()))));
    }
    if (files) {
      pack(images);
    }
  }

  private void pack(Path images) throws IOException {
    SharedFiles shared = SharedFiles.of(frozen);
    Map<String, Long> here = new LinkedHashMap<>();
    shared
        .names()
        .forEach((inode, paths) -> paths.forEach(path -> here.put(path.toString(), inode)));
    names = here;
    SharedFilePack.write(images, shared);
  }

  /** The SysV objects that travel. */
  public List<SysvObject> objects() {
    return objects;
  }

  /** The files that travel: paths with their inodes. */
  public Map<String, Long> names() {
    return names;
  }

  /**
   * The tree has them at the destination: home's own are removed, but for what a process that stays
   * has begun to use. May be called again.
   *
   * @param tree the PIDs that have left
   */
  public static void remove(
      List<SysvObject> objects, Map<String, Long> names, Collection<Integer> tree)
      throws IOException {
    if (objects.stream().anyMatch(SysvObject::sole)) {
      for (SysvTable.Row row : SysvTable.read()) {
        for (SysvObject object : objects) {
          if (object.sole() && row.object(true).is(object)) {
            remove(row, object, tree);
          }
        }
      }
    }
    if (!names.isEmpty()) {
      remove(names, tree);
    }
  }

  private static void remove(SysvTable.Row row, SysvObject object, Collection<Integer> tree)
      throws IOException {
    Optional<String> stranger = SysvUse.stranger(row, tree);
    if (stranger.isPresent()) {
      LOG.warn("{} stays: {} uses it by now", object.describe(), stranger.get());
    } else {
      object.remove();
    }
  }

  private static void remove(Map<String, Long> names, Collection<Integer> tree) throws IOException {
    Set<Integer> others =
        new HashSet<>(Proc.all().stream().map(ProcessInfo::pid).collect(Collectors.toSet()));
    others.removeAll(Set.copyOf(tree));
    Map<Long, List<Path>> used = SharedFiles.of(others).names();
    Map<String, Long> left = new HashMap<>(names);
    left.values().removeAll(used.keySet());
    for (Map.Entry<String, Long> file : left.entrySet()) {
      Path path = Path.of(file.getKey());
      if (Files.isRegularFile(path)
          && Files.getAttribute(path, "unix:ino").equals(file.getValue())) {
        Files.deleteIfExists(path);
      }
    }
  }
}
