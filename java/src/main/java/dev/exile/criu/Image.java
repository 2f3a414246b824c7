package dev.exile.criu;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** CRIU's image files: two magic numbers, then each entry, a protobuf message, with its length. */
final class Image {
  /** Bytes of the two magic numbers. */
  static final int MAGICS = 8;

  private Image() {}

  /** The entries of an image that holds nothing else. */
  static List<UnknownFieldSet> entries(Path image) throws IOException {
    List<UnknownFieldSet> entries = new ArrayList<>();
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(image)).order(ByteOrder.nativeOrder());
    file.position(MAGICS);
    while (file.remaining() >= Integer.BYTES) {
      entries.add(next(file));
    }
    return entries;
  }

  /** The entry at the buffer's position, which is then behind it. */
  static UnknownFieldSet next(ByteBuffer file) throws IOException {
    byte[] entry = new byte[file.getInt()];
    file.get(entry);
    return UnknownFieldSet.parseFrom(entry);
  }

  /** Adds an entry to what is to become an image. */
  static void add(ByteArrayOutputStream out, byte[] entry) {
    ByteBuffer length = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.nativeOrder());
    out.writeBytes(length.putInt(entry.length).array());
    out.writeBytes(entry);
  }

  /** The messages that a field holds. */
  static List<UnknownFieldSet> messages(UnknownFieldSet holder, int field) throws IOException {
    List<UnknownFieldSet> messages = new ArrayList<>();
    for (ByteString bytes : holder.getField(field).getLengthDelimitedList()) {
      messages.add(UnknownFieldSet.parseFrom(bytes));
    }
    return messages;
  }

  /** A number, 0 where there is none. */
  static long number(UnknownFieldSet holder, int field) {
    List<Long> values = holder.getField(field).getVarintList();
    return values.isEmpty() ? 0 : values.get(0);
  }
}
