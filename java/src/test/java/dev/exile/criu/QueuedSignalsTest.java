package dev.exile.criu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class QueuedSignalsTest {
  private static final int PID = 4711;
  private static final int THREAD = 4712;
  private static final int OTHER = 99;
  private static final int SI_KERNEL = 0x80;

  @TempDir private Path images;

  @BeforeEach
  void aTreeOfOneProcessWithTwoThreads() throws IOException {
    write(
        "pstree.img",
        number(1, PID).mergeFrom(number(5, PID).build()).mergeFrom(number(5, THREAD).build()));
  }

  @Test
  void whatOthersHaveSentDoesNotTravel() throws IOException {
    core(
        PID,
        List.of(signal(10, 0, OTHER), signal(40, -1, OTHER), signal(2, SI_KERNEL, 0)),
        List.of());
    core(THREAD, List.of(), List.of(signal(12, -6, OTHER)));

    assertEquals(List.of(), QueuedSignals.settle(images));
    assertEquals(List.of(), QueuedSignals.settle(images), "they are gone from the images");
  }

  @Test
  void whatAThreadHasBroughtUponItselfTravels() throws IOException {
    int segfault = 11;
    int mapError = 1;
    core(
        PID,
        List.of(signal(14, -2, 0), signal(10, 0, OTHER)), // a POSIX timer's
        List.of(signal(6, -6, PID), signal(13, 0, PID), signal(13, 0, PID)));
    core(THREAD, List.of(), List.of(signal(segfault, mapError, 0), signal(segfault, SI_KERNEL, 0)));

    List<QueuedSignals> travelling =
        List.of(
            new QueuedSignals(PID, 0, 14, 1),
            new QueuedSignals(PID, PID, 6, 1),
            new QueuedSignals(PID, PID, 13, 2),
            new QueuedSignals(PID, THREAD, segfault, 2));
    assertEquals(travelling, QueuedSignals.settle(images));
    assertEquals(travelling, QueuedSignals.settle(images), "they are in the images still");
  }

  @Test
  void anImageWithNothingToTakeOutStaysAsItIs() throws IOException {
    core(PID, List.of(signal(14, -2, 0)), List.of());
    core(THREAD, List.of(), List.of());
    byte[] before = Files.readAllBytes(images.resolve("core-" + PID + ".img"));

    QueuedSignals.settle(images);

    assertArrayEquals(before, Files.readAllBytes(images.resolve("core-" + PID + ".img")));
  }

  /** As CRIU's images/core.proto has it, with a field of another kind beside each. */
  private void core(int tid, List<ByteString> shared, List<ByteString> own) throws IOException {
    UnknownFieldSet.Builder core = number(1, 1);
    if (tid == PID) {
      core.mergeFrom(
          message(3, number(1, 1).mergeFrom(message(10, queue(shared)).build())).build());
    }
    core.mergeFrom(message(5, number(1, 0).mergeFrom(message(9, queue(own)).build())).build());
    write("core-" + tid + ".img", core);
  }

  private static UnknownFieldSet.Builder queue(List<ByteString> signals) {
    UnknownFieldSet.Builder queue = UnknownFieldSet.newBuilder();
    for (ByteString siginfo : signals) {
      UnknownFieldSet.Field entry =
          UnknownFieldSet.Field.newBuilder().addLengthDelimited(siginfo).build();
      queue.mergeFrom(message(1, UnknownFieldSet.newBuilder().addField(1, entry)).build());
    }
    return queue;
  }

  private static ByteString signal(int number, int code, int sender) {
    ByteBuffer siginfo = ByteBuffer.allocate(128).order(ByteOrder.nativeOrder());
    siginfo.putInt(0, number).putInt(8, code).putInt(16, sender);
    return ByteString.copyFrom(siginfo);
  }

  private static UnknownFieldSet.Builder number(int field, int value) {
    return UnknownFieldSet.newBuilder()
        .addField(field, UnknownFieldSet.Field.newBuilder().addVarint(value).build());
  }

  private static UnknownFieldSet.Builder message(int field, UnknownFieldSet.Builder content) {
    return UnknownFieldSet.newBuilder()
        .addField(
            field,
            UnknownFieldSet.Field.newBuilder()
                .addLengthDelimited(content.build().toByteString())
                .build());
  }

  private void write(String name, UnknownFieldSet.Builder entry) throws IOException {
    byte[] bytes = entry.build().toByteArray();
    ByteBuffer image = ByteBuffer.allocate(12 + bytes.length).order(ByteOrder.nativeOrder());
    image.putInt(0x54564319).putInt(0x55053847).putInt(bytes.length).put(bytes);
    Files.write(images.resolve(name), image.array());
  }
}
