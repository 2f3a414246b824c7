package dev.exile.criu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class IpcImagesTest {
  @TempDir private Path images;

  private static UnknownFieldSet numbers(long... fieldsAndValues) {
    UnknownFieldSet.Builder message = UnknownFieldSet.newBuilder();
    for (int i = 0; i < fieldsAndValues.length; i += 2) {
      message.mergeVarintField((int) fieldsAndValues[i], (int) fieldsAndValues[i + 1]);
    }
    return message.build();
  }

  private static UnknownFieldSet with(UnknownFieldSet message, int field, ByteString value) {
    return message.toBuilder()
        .addField(field, UnknownFieldSet.Field.newBuilder().addLengthDelimited(value).build())
        .build();
  }

  private static byte[] bytes(Object... parts) {
    ByteBuffer file = ByteBuffer.allocate(1000).order(ByteOrder.nativeOrder());
    for (Object part : parts) {
      if (part instanceof UnknownFieldSet message) {
        file.putInt(message.getSerializedSize()).put(message.toByteArray());
      } else {
        file.put(((String) part).getBytes(java.nio.charset.StandardCharsets.US_ASCII));
      }
    }
    byte[] written = new byte[file.position()];
    file.flip().get(written);
    return written;
  }

  private static UnknownFieldSet object(int id, UnknownFieldSet rest) {
    return with(rest, 1, numbers(1, 4711, 7, id).toByteString());
  }

  @Test
  void objectsOfOthersAreTakenOutWithTheirData() throws IOException {
    UnknownFieldSet queue = object(3, numbers(2, 16384, 3, 2));
    UnknownFieldSet foreign = object(4, numbers(2, 16384, 3, 1));
    UnknownFieldSet nine = numbers(1, 7, 2, 9);
    UnknownFieldSet none = numbers(1, 8, 2, 0);
    Path msg = images.resolve("ipcns-msg-9.img");
    Files.write(
        msg,
        bytes(
            "MAGICMAG",
            foreign,
            nine,
            "012345678.......",
            queue,
            nine,
            "abcdefghi.......",
            none,
            foreign,
            none));
    UnknownFieldSet set = object(5, numbers(2, 3));
    Path sem = images.resolve("ipcns-sem-9.img");
    Files.write(
        sem, bytes("MAGICMAG", object(6, numbers(2, 5)), "valuesvaluesval.", set, "6 bytes."));

    IpcImages.keep(images, Map.of("msg", Set.of(3), "sem", Set.of(5)));

    assertArrayEquals(
        bytes("MAGICMAG", queue, nine, "abcdefghi.......", none), Files.readAllBytes(msg));
    assertArrayEquals(bytes("MAGICMAG", set, "6 bytes."), Files.readAllBytes(sem));
  }

  @Test
  void pagesOfOthersSegmentsGo() throws IOException {
    UnknownFieldSet ours = object(1, numbers(2, 4096));
    Files.write(
        images.resolve("ipcns-shm-9.img"), bytes("MAGICMAG", object(0, numbers(2, 4096)), ours));
    for (int segment = 0; segment < 2; segment++) {
      Files.write(
          images.resolve("pagemap-shmem-" + segment + ".img"),
          bytes("MAGICMAG", numbers(1, 10 + segment)));
      Files.write(images.resolve("pages-" + (10 + segment) + ".img"), new byte[4096]);
    }

    IpcImages.keep(images, Map.of("shm", Set.of(1)));

    assertArrayEquals(
        bytes("MAGICMAG", ours), Files.readAllBytes(images.resolve("ipcns-shm-9.img")));
    assertFalse(Files.exists(images.resolve("pagemap-shmem-0.img")));
    assertFalse(Files.exists(images.resolve("pages-10.img")));
    assertTrue(Files.exists(images.resolve("pages-11.img")));
  }

  @Test
  void namesOfLinksAreFoundByThoseThatAreGone() throws IOException {
    Files.write(
        images.resolve("remap-fpath.img"),
        bytes("MAGICMAG", numbers(1, 23, 2, 24, 3, 0), numbers(1, 2, 2, 25, 3, 1)));
    Files.write(
        images.resolve("files.img"),
        bytes(
            "MAGICMAG",
            file(2, "/tmp/ghost"),
            file(24, "/dev/shm/link_remap.24"),
            file(23, "/dev/shm/sem.x"),
            numbers(1, 3, 2, 25)));

    assertEquals(Map.of("/dev/shm/link_remap.24", "/dev/shm/sem.x"), IpcImages.links(images));
  }

  private static UnknownFieldSet file(int id, String name) {
    return with(
        numbers(1, 1, 2, id),
        3,
        with(numbers(1, id), 6, ByteString.copyFromUtf8(name)).toByteString());
  }
}
