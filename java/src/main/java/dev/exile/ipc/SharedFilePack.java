package dev.exile.ipc;

import dev.exile.criu.IpcImages;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Writes files of /dev/shm into one, for the shim to make them anew in a cell: native/src/shm.c
 * tells the format. Blocks of zeros are left out, so that what is sparse stays so.
 */
final class SharedFilePack {
  private static final int BLOCK = 65536;
  private static final byte[] ZEROS = new byte[BLOCK];
  private static final int PERMISSIONS = 07777;

  private final OutputStream out;
  private final Path root;

  private SharedFilePack(OutputStream out, Path root) {
    this.out = out;
    this.root = root;
  }

  /** Packs what processes that stand frozen share, and which CRIU has dumped, beside its images. */
  static void write(Path images, SharedFiles shared) throws IOException {
    Path packed = images.resolve(HomeShared.FILES_IMAGE);
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(packed), BLOCK)) {
      SharedFilePack pack = new SharedFilePack(out, shared.root());
      for (List<Path> names : named(images, shared).values()) {
        pack.add(names);
      }
    }
  }

  /** Each with all of its names, those that CRIU looks for at the restore last. */
  private static Map<Long, List<Path>> named(Path images, SharedFiles shared) throws IOException {
    Map<Long, List<Path>> all = new LinkedHashMap<>(shared.names());
    for (Map.Entry<String, String> link : IpcImages.links(images).entrySet()) {
      Optional<Long> inode = shared.formerly(link.getValue());
      if (inode.isPresent() && all.containsKey(inode.get())) {
        List<Path> paths = new ArrayList<>(all.get(inode.get()));
        paths.add(shared.root().resolve(SharedFiles.ROOT.relativize(Path.of(link.getKey()))));
        all.put(inode.get(), paths);
      }
    }
    return all;
  }

  private void add(List<Path> names) throws IOException {
    Path path = names.get(0);
    Map<String, Object> unix = Files.readAttributes(path, "unix:mode,uid,gid,size");
    String owner =
        "%o %s %s"
            .formatted((int) unix.get("mode") & PERMISSIONS, unix.get("uid"), unix.get("gid"));
    if (Files.isDirectory(path)) {
      line("d " + owner + " " + name(path));
      return;
    }
    line("f " + owner + " " + unix.get("size") + " " + name(path));
    // The links first: data that is not there makes no line.
    for (Path other : names.subList(1, names.size())) {
      line("l " + name(other));
    }
    content(path);
  }

  private String name(Path path) throws IOException {
    String name = root.relativize(path).toString();
    if (name.contains("\n")) {
      throw new IOException("a file below /dev/shm has a line end in its name: " + path);
    }
    return name;
  }

  private void line(String text) throws IOException {
    out.write((text + "\n").getBytes(StandardCharsets.UTF_8));
  }

  private void content(Path path) throws IOException {
    byte[] block = new byte[BLOCK];
    long offset = 0;
    try (InputStream in = Files.newInputStream(path)) {
      for (int n = in.readNBytes(block, 0, BLOCK); n > 0; n = in.readNBytes(block, 0, BLOCK)) {
        if (!Arrays.equals(block, 0, n, ZEROS, 0, n)) {
          line("x " + offset + " " + n);
          out.write(block, 0, n);
        }
        offset += n;
      }
    }
  }
}
