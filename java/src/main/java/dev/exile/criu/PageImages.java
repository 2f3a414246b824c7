package dev.exile.criu;

import com.google.protobuf.UnknownFieldSet;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Pages in CRIU's images. A restore with {@code --lazy-pages} leaves out all that could be lazy,
 * even what the images have: it is made to restore that.
 */
public final class PageImages {
  // Field number of CRIU's images/pagemap.proto, and its bit that says that pages may come later.
  private static final int FLAGS = 4;
  private static final long LAZY = 1 << 1;

  private PageImages() {}

  /** Has all pages restored that the images hold. */
  public static void restoreAll(Path images) throws IOException {
    try (DirectoryStream<Path> maps = Files.newDirectoryStream(images, "pagemap-[0-9]*.img")) {
      for (Path map : maps) {
        restoreAllOf(map);
      }
    }
  }

  private static void restoreAllOf(Path map) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(Files.readAllBytes(map), 0, Image.MAGICS);
    List<UnknownFieldSet> entries = Image.entries(map);
    Image.add(out, entries.get(0).toByteArray()); // the head
    for (UnknownFieldSet entry : entries.subList(1, entries.size())) {
      long flags = Image.number(entry, FLAGS) & ~LAZY;
      UnknownFieldSet.Field changed = UnknownFieldSet.Field.newBuilder().addVarint(flags).build();
      Image.add(out, entry.toBuilder().addField(FLAGS, changed).build().toByteArray());
    }
    Files.write(map, out.toByteArray());
  }
}
