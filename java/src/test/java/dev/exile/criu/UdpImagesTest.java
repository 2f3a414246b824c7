package dev.exile.criu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UdpImagesTest {
  private static final int UDP = 17;
  private static final int TCP = 6;

  @TempDir Path images;

  private static UnknownFieldSet.Field number(long value) {
    return UnknownFieldSet.Field.newBuilder().addVarint(value).build();
  }

  /** A file_entry with an inet_sk_entry. */
  private static UnknownFieldSet socket(int id, int protocol, int port, int peerPort) {
    UnknownFieldSet socket =
        UnknownFieldSet.newBuilder()
            .addField(5, number(protocol))
            .addField(6, number(peerPort == 0 ? 7 : 1))
            .addField(7, number(port))
            .addField(8, number(peerPort))
            .addField(11, number(0x0100004d0aL))
            .addField(19, number(1))
            .build();
    return UnknownFieldSet.newBuilder()
        .addField(1, number(4))
        .addField(2, number(id))
        .addField(
            4,
            UnknownFieldSet.Field.newBuilder()
                .addLengthDelimited(ByteString.copyFrom(socket.toByteArray()))
                .build())
        .build();
  }

  private void write(UnknownFieldSet... entries) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(new byte[] {1, 2, 3, 4, 5, 6, 7, 8});
    for (UnknownFieldSet entry : entries) {
      byte[] bytes = entry.toByteArray();
      out.write(ByteBuffer.allocate(4).order(ByteOrder.nativeOrder()).putInt(bytes.length).array());
      out.write(bytes);
    }
    Files.write(images.resolve("files.img"), out.toByteArray());
  }

  @Test
  void boundUdpSocketsLoseTheirAddressesAndNothingElse() throws IOException {
    UnknownFieldSet tcp = socket(1, TCP, 80, 5555);
    write(tcp, socket(2, UDP, 53, 5555), socket(3, UDP, 54, 0));

    UdpImages.unbind(images);

    List<UnknownFieldSet> entries = Image.entries(images.resolve("files.img"));
    assertEquals(3, entries.size());
    assertEquals(tcp, entries.get(0));
    for (int i = 1; i < 3; i++) {
      assertEquals(i + 1, Image.number(entries.get(i), 2));
      UnknownFieldSet socket = Image.messages(entries.get(i), 4).get(0);
      assertEquals(UDP, Image.number(socket, 5));
      assertEquals(7, Image.number(socket, 6));
      assertEquals(List.of(0L), socket.getField(7).getVarintList());
      assertEquals(List.of(0L), socket.getField(8).getVarintList());
      assertEquals(0x0100004d0aL, Image.number(socket, 11));
      assertEquals(List.of(), socket.getField(19).getVarintList());
    }
  }

  @Test
  void anImageWithoutThemStaysAsItIs() throws IOException {
    write(socket(1, TCP, 80, 0), socket(2, UDP, 0, 0));
    byte[] before = Files.readAllBytes(images.resolve("files.img"));

    UdpImages.unbind(images);

    assertArrayEquals(before, Files.readAllBytes(images.resolve("files.img")));
  }
}
