package dev.exile.criu;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Where listeners are bound, as CRIU's image of files has it. */
public final class ListenerImages {
  // Field numbers of CRIU's images/fdinfo.proto and sk-inet.proto.
  private static final int FILE_INET = 4;
  private static final int INET_FAMILY = 3;
  private static final int INET_STATE = 6;
  private static final int INET_PORT = 7;
  private static final int INET_ADDRESS = 11;
  private static final int LISTEN = 10;
  private static final int AF_INET = 2;
  private static final int MAPPED_AT = 10;

  private ListenerImages() {}

  /**
   * Has listeners bound elsewhere at the restore.
   *
   * @param moved the new address of each, by the one that it is bound to; both of its family, but
   *     that one of IPv6 may be given one of IPv4
   */
  public static void rebind(Path images, Map<InetSocketAddress, InetSocketAddress> moved)
      throws IOException {
    if (moved.isEmpty()) {
      return;
    }
    Path image = images.resolve("files.img");
    byte[] magics = Files.readAllBytes(image);
    List<byte[]> entries = new ArrayList<>();
    int size = Image.MAGICS;
    for (UnknownFieldSet file : Image.entries(image)) {
      byte[] entry = rebind(file, moved).toByteArray();
      entries.add(entry);
      size += Integer.BYTES + entry.length;
    }
    ByteBuffer out = ByteBuffer.allocate(size).order(ByteOrder.nativeOrder());
    out.put(magics, 0, Image.MAGICS);
    entries.forEach(entry -> out.putInt(entry.length).put(entry));
    Files.write(image, out.array());
  }

  private static UnknownFieldSet rebind(
      UnknownFieldSet file, Map<InetSocketAddress, InetSocketAddress> moved) throws IOException {
    List<UnknownFieldSet> sockets = Image.messages(file, FILE_INET);
    if (sockets.isEmpty() || Image.number(sockets.get(0), INET_STATE) != LISTEN) {
      return file;
    }
    UnknownFieldSet socket = sockets.get(0);
    InetSocketAddress to = moved.get(address(socket));
    if (to == null) {
      return file;
    }
    UnknownFieldSet.Field.Builder words = UnknownFieldSet.Field.newBuilder();
    ByteBuffer bytes = ByteBuffer.wrap(bytes(socket, to)).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      words.addVarint(Integer.toUnsignedLong(bytes.getInt()));
    }
    ByteString rebound =
        socket.toBuilder()
            .clearField(INET_ADDRESS)
            .addField(INET_ADDRESS, words.build())
            .clearField(INET_PORT)
            .addField(INET_PORT, UnknownFieldSet.Field.newBuilder().addVarint(to.getPort()).build())
            .build()
            .toByteString();
    return file.toBuilder()
        .clearField(FILE_INET)
        .addField(FILE_INET, UnknownFieldSet.Field.newBuilder().addLengthDelimited(rebound).build())
        .build();
  }

  private static InetSocketAddress address(UnknownFieldSet socket) throws IOException {
    List<Long> words = socket.getField(INET_ADDRESS).getVarintList();
    ByteBuffer bytes =
        ByteBuffer.allocate(words.size() * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    words.forEach(word -> bytes.putInt(word.intValue()));
    return new InetSocketAddress(
        InetAddress.getByAddress(bytes.array()), (int) Image.number(socket, INET_PORT));
  }

  private static byte[] bytes(UnknownFieldSet socket, InetSocketAddress to) {
    byte[] plain = to.getAddress().getAddress();
    if (Image.number(socket, INET_FAMILY) == AF_INET || plain.length > Integer.BYTES) {
      return plain;
    }
    byte[] mapped = new byte[4 * Integer.BYTES];
    mapped[MAPPED_AT] = -1;
    mapped[MAPPED_AT + 1] = -1;
    System.arraycopy(plain, 0, mapped, MAPPED_AT + 2, plain.length);
    return mapped;
  }
}
