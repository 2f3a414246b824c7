package dev.exile.criu;

import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * What CRIU's images tell of IPC. Of SysV objects a dump holds all that are in the namespace: those
 * that belong to others are taken out. Descriptors of files whose name is gone but which have
 * another one are found again by a name that CRIU gives them for the restore.
 */
public final class IpcImages {
  // Field numbers of CRIU's images/ipc-*.proto, pagemap.proto, remap-file-path.proto, fdinfo.proto
  // and regfile.proto.
  private static final int ENTRY_DESCRIPTION = 1;
  private static final int DESCRIPTION_ID = 7;
  private static final int SEM_COUNT = 2;
  private static final int MSG_COUNT = 3;
  private static final int MESSAGE_SIZE = 2;
  private static final int PAGEMAP_PAGES = 1;
  private static final int REMAP_OF = 1;
  private static final int REMAP_TO = 2;
  private static final int REMAP_TYPE = 3;
  private static final int REMAP_LINKED = 0;
  private static final int FILE_ID = 2;
  private static final int FILE_REGULAR = 3;
  private static final int REGULAR_NAME = 6;

  private static final int ALIGNED = 8;

  private IpcImages() {}

  /**
   * Takes all SysV objects out but these.
   *
   * @param kept identifiers by table: shm, msg, sem
   */
  public static void keep(Path images, Map<String, Set<Integer>> kept) throws IOException {
    List<Path> found;
    try (Stream<Path> all = Files.list(images)) {
      found = all.filter(path -> path.getFileName().toString().startsWith("ipcns-")).toList();
    }
    for (Path image : found) {
      String table = image.getFileName().toString().split("-", 3)[1];
      if (!table.equals("var")) {
        keep(images, image, table, kept.getOrDefault(table, Set.of()));
      }
    }
  }

  private static void keep(Path images, Path image, String table, Set<Integer> kept)
      throws IOException {
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(image)).order(ByteOrder.nativeOrder());
    ByteBuffer left = ByteBuffer.allocate(file.capacity());
    left.put(file.array(), 0, Image.MAGICS);
    file.position(Image.MAGICS);
    while (file.remaining() >= Integer.BYTES) {
      int start = file.position();
      UnknownFieldSet entry = Image.next(file);
      UnknownFieldSet description = Image.messages(entry, ENTRY_DESCRIPTION).get(0);
      int id = (int) Image.number(description, DESCRIPTION_ID);
      switch (table) {
        case "sem" -> skip(file, Image.number(entry, SEM_COUNT) * Short.BYTES);
        case "msg" -> {
          for (long i = Image.number(entry, MSG_COUNT); i > 0; i--) {
            skip(file, Image.number(Image.next(file), MESSAGE_SIZE));
          }
        }
        default -> {} // a segment's content is in its pagemap
      }
      if (kept.contains(id)) {
        left.put(file.array(), start, file.position() - start);
      } else if (table.equals("shm")) {
        removePages(images, id);
      }
    }
    try (var out =
        Files.newByteChannel(
            image,
            java.nio.file.StandardOpenOption.WRITE,
            java.nio.file.StandardOpenOption.TRUNCATE_EXISTING)) {
      out.write(left.flip());
    }
  }

  /** Raw data is padded. */
  private static void skip(ByteBuffer file, long bytes) {
    file.position(file.position() + (int) ((bytes + ALIGNED - 1) / ALIGNED * ALIGNED));
  }

  private static void removePages(Path images, int segment) throws IOException {
    Path pagemap = images.resolve("pagemap-shmem-" + segment + ".img");
    List<UnknownFieldSet> entries = entries(pagemap);
    if (!entries.isEmpty()) {
      long pages = Image.number(entries.get(0), PAGEMAP_PAGES);
      Files.deleteIfExists(images.resolve("pages-" + pages + ".img"));
      Files.delete(pagemap);
    }
  }

  /** CRIU writes no image of what there is none of. */
  private static List<UnknownFieldSet> entries(Path image) throws IOException {
    return Files.exists(image) ? Image.entries(image) : List.of();
  }

  /**
   * Names that CRIU will look for at the restore, and that its dump has removed again.
   *
   * @return the name that the file was opened by, and which is gone, by the name that is looked for
   */
  public static Map<String, String> links(Path images) throws IOException {
    Map<Long, Long> remaps = new LinkedHashMap<>();
    for (UnknownFieldSet remap : entries(images.resolve("remap-fpath.img"))) {
      if (Image.number(remap, REMAP_TYPE) == REMAP_LINKED) {
        remaps.put(Image.number(remap, REMAP_TO), Image.number(remap, REMAP_OF));
      }
    }
    Map<Long, String> names = new LinkedHashMap<>();
    for (UnknownFieldSet file : Image.entries(images.resolve("files.img"))) {
      for (UnknownFieldSet regular : Image.messages(file, FILE_REGULAR)) {
        names.put(
            Image.number(file, FILE_ID),
            regular.getField(REGULAR_NAME).getLengthDelimitedList().get(0).toStringUtf8());
      }
    }
    Map<String, String> links = new LinkedHashMap<>();
    remaps.forEach((to, of) -> links.put(names.get(to), names.get(of)));
    return links;
  }
}
