package dev.exile.criu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

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
  private static final int SI_TIMER = -2;

  @TempDir private Path images;

  @BeforeEach
  void aTreeOfOneProcessWithTwoThreads() throws IOException {
    write(
        "pstree.img",
        number(1, PID).mergeFrom(number(5, PID).build()).mergeFrom(number(5, THREAD).build()));
  }

  @Test
  void whatOthersHaveSentDoesNotTravel() throws IOException {
    ByteString timers = signal(14, SI_TIMER, 0);
    core(
        PID,
        List.of(signal(10, 0, OTHER), signal(40, -1, OTHER), timers, signal(2, SI_KERNEL, 0)),
        List.of());
    core(THREAD, List.of(), List.of(signal(12, -6, OTHER)));

    QueuedSignals.settle(images);

    byte[] process = image(PID);
    byte[] thread = image(THREAD);
    core(PID, List.of(timers), List.of());
    core(THREAD, List.of(), List.of());
    assertArrayEquals(image(PID), process);
    assertArrayEquals(image(THREAD), thread);
  }

  @Test
  void whatAProcessHasBroughtUponItselfTravels() throws IOException {
    int segfault = 11;
    int mapError = 1;
    core(
        PID,
        List.of(signal(34, SI_TIMER, 0), signal(14, SI_KERNEL, 0), signal(17, mapError, OTHER)),
        List.of(signal(6, -6, PID), signal(13, 0, PID), signal(40, -1, PID)));
    core(THREAD, List.of(), List.of(signal(segfault, mapError, 0), signal(segfault, SI_KERNEL, 0)));
    byte[] process = image(PID);
    byte[] thread = image(THREAD);

    QueuedSignals.settle(images);

    assertArrayEquals(process, image(PID));
    assertArrayEquals(thread, image(THREAD));
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

  private byte[] image(int tid) throws IOException {
    return Files.readAllBytes(images.resolve("core-" + tid + ".img"));
  }

  private void write(String name, UnknownFieldSet.Builder entry) throws IOException {
    byte[] bytes = entry.build().toByteArray();
    ByteBuffer image = ByteBuffer.allocate(12 + bytes.length).order(ByteOrder.nativeOrder());
    image.putInt(0x54564319).putInt(0x55053847).putInt(bytes.length).put(bytes);
    Files.write(images.resolve(name), image.array());
  }
}
