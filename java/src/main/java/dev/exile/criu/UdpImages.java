package dev.exile.criu;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * UDP sockets in CRIU's images. CRIU would bind each to its address, and connect it, before anybody
 * could tell the kernel that the address may be another host's: it is made to restore them unbound,
 * and they get their addresses before the process is resumed.
 */
public final class UdpImages {
  // Field numbers of CRIU's images/fdinfo.proto and sk-inet.proto.
  private static final int FILE_INET = 4;
  private static final int PROTOCOL = 5;
  private static final int STATE = 6;
  private static final int SOURCE_PORT = 7;
  private static final int DESTINATION_PORT = 8;
  private static final int INTERFACE = 17;
  private static final int SHUTDOWN = 19;

  private static final int UDP = 17;

  /** TCP_CLOSE, the state of whatever is not connected. */
  private static final long CLOSED = 7;

  private UdpImages() {}

  /** Has all of them restored unbound. */
  public static void unbind(Path images) throws IOException {
    Path image = images.resolve("files.img");
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(image)).order(ByteOrder.nativeOrder());
    ByteArrayOutputStream out = new ByteArrayOutputStream(file.capacity());
    out.write(file.array(), 0, Image.MAGICS);
    file.position(Image.MAGICS);
    boolean changed = false;
    while (file.remaining() >= Integer.BYTES) {
      int start = file.position();
      UnknownFieldSet entry = Image.next(file);
      byte[] kept = Arrays.copyOfRange(file.array(), start + Integer.BYTES, file.position());
      if (isBoundUdp(entry)) {
        kept = unbound(entry).toByteArray();
        changed = true;
      }
      Image.add(out, kept);
    }
    if (changed) {
      Files.write(image, out.toByteArray());
    }
  }

  private static boolean isBoundUdp(UnknownFieldSet entry) throws IOException {
    for (UnknownFieldSet socket : Image.messages(entry, FILE_INET)) {
      return Image.number(socket, PROTOCOL) == UDP && Image.number(socket, SOURCE_PORT) != 0;
    }
    return false;
  }

  private static UnknownFieldSet unbound(UnknownFieldSet entry) throws IOException {
    UnknownFieldSet changed =
        Image.messages(entry, FILE_INET).get(0).toBuilder()
            .addField(STATE, varint(CLOSED))
            .addField(SOURCE_PORT, varint(0))
            .addField(DESTINATION_PORT, varint(0))
            .clearField(INTERFACE)
            .clearField(SHUTDOWN)
            .build();
    return entry.toBuilder()
        .addField(
            FILE_INET,
            UnknownFieldSet.Field.newBuilder()
                .addLengthDelimited(ByteString.copyFrom(changed.toByteArray()))
                .build())
        .build();
  }

  private static UnknownFieldSet.Field varint(long value) {
    return UnknownFieldSet.Field.newBuilder().addVarint(value).build();
  }
}
