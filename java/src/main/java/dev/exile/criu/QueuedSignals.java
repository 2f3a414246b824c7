package dev.exile.criu;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Signals that were pending at the dump and travel in CRIU's images: at home they are pending
 * still, and are not to be forwarded as well.
 *
 * <p>Few do. What others have sent is taken out of the images and is forwarded later, from home's
 * queues, as if it had come in exile: a standard signal that the process has already got at the
 * destination, while it is still pending in its body at home, would swallow the next of its number.
 * What a thread has brought upon itself (a fault, its own raise, a timer) has to meet it where it
 * stands, and travels.
 *
 * @param pid the process
 * @param tid the thread whose own queue they stand in, 0 for the process's shared one
 * @param number the signal's number
 * @param count how many of that number
 */
public record QueuedSignals(int pid, int tid, int number, int count) {
  // Field numbers of CRIU's images/pstree.proto, core.proto and siginfo.proto.
  private static final int PSTREE_PID = 1;
  private static final int PSTREE_THREADS = 5;
  private static final int CORE_TASK = 3;
  private static final int CORE_THREAD = 5;
  private static final int TASK_SHARED_SIGNALS = 10;
  private static final int THREAD_PRIVATE_SIGNALS = 9;
  private static final int QUEUE_SIGNALS = 1;
  private static final int ENTRY_SIGINFO = 1;

  // The kernel's siginfo (asm-generic/siginfo.h): where its fields are, and codes.
  private static final int SI_SIGNO = 0;
  private static final int SI_CODE = 8;
  private static final int SI_PID = 16;
  private static final int SI_USER = 0;
  private static final int SI_QUEUE = -1;
  private static final int SI_TKILL = -6;
  private static final int SI_KERNEL = 0x80;
  // SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS
  private static final Set<Integer> FAULTS = Set.of(4, 5, 7, 8, 11, 31);

  /**
   * Takes out of a complete dump what others have sent.
   *
   * @return what is left, and travels
   */
  public static List<QueuedSignals> settle(Path images) throws IOException {
    List<QueuedSignals> left = new ArrayList<>();
    for (UnknownFieldSet process : Image.entries(images.resolve("pstree.img"))) {
      int pid = process.getField(PSTREE_PID).getVarintList().get(0).intValue();
      for (int tid : numbers(process.getField(PSTREE_THREADS))) {
        Path image = images.resolve("core-" + tid + ".img");
        UnknownFieldSet core = Image.entries(image).get(0);
        UnknownFieldSet settled =
            map(
                map(
                    core,
                    CORE_TASK,
                    task -> map(task, TASK_SHARED_SIGNALS, queue -> own(queue, pid, 0, left))),
                CORE_THREAD,
                thread -> map(thread, THREAD_PRIVATE_SIGNALS, queue -> own(queue, pid, tid, left)));
        if (!settled.equals(core)) {
          overwrite(image, settled);
        }
      }
    }
    return left;
  }

  /** A queue without what others have sent; what stays in it is counted. */
  private static UnknownFieldSet own(
      UnknownFieldSet queue, int pid, int tid, List<QueuedSignals> left) throws IOException {
    Map<Integer, Integer> counts = new LinkedHashMap<>();
    UnknownFieldSet.Field.Builder kept = UnknownFieldSet.Field.newBuilder();
    for (UnknownFieldSet entry : Image.messages(queue, QUEUE_SIGNALS)) {
      ByteBuffer siginfo =
          entry
              .getField(ENTRY_SIGINFO)
              .getLengthDelimitedList()
              .get(0)
              .asReadOnlyByteBuffer()
              .order(ByteOrder.nativeOrder());
      if (!fromOthers(siginfo, pid)) {
        kept.addLengthDelimited(entry.toByteString());
        counts.merge(siginfo.getInt(SI_SIGNO), 1, Integer::sum);
      }
    }
    counts.forEach((number, count) -> left.add(new QueuedSignals(pid, tid, number, count)));
    return queue.toBuilder()
        .clearField(QUEUE_SIGNALS)
        .mergeField(QUEUE_SIGNALS, kept.build())
        .build();
  }

  private static boolean fromOthers(ByteBuffer siginfo, int pid) {
    return switch (siginfo.getInt(SI_CODE)) {
      case SI_USER, SI_QUEUE, SI_TKILL -> siginfo.getInt(SI_PID) != pid;
      case SI_KERNEL -> !FAULTS.contains(siginfo.getInt(SI_SIGNO)); // a terminal's keys, say
      default -> false;
    };
  }

  /** Changes the messages that a field holds; where there is none, nothing. */
  private static UnknownFieldSet map(UnknownFieldSet holder, int field, Change change)
      throws IOException {
    if (!holder.hasField(field)) {
      return holder;
    }
    UnknownFieldSet.Field.Builder changed = UnknownFieldSet.Field.newBuilder();
    for (UnknownFieldSet message : Image.messages(holder, field)) {
      changed.addLengthDelimited(change.apply(message).toByteString());
    }
    return holder.toBuilder().clearField(field).mergeField(field, changed.build()).build();
  }

  @FunctionalInterface
  private interface Change {
    UnknownFieldSet apply(UnknownFieldSet message) throws IOException;
  }

  /** Writes an image of one entry anew, with the magic numbers that it has. */
  private static void overwrite(Path image, UnknownFieldSet entry) throws IOException {
    byte[] bytes = entry.toByteArray();
    ByteBuffer file =
        ByteBuffer.allocate(Image.MAGICS + Integer.BYTES + bytes.length)
            .order(ByteOrder.nativeOrder());
    file.put(Files.readAllBytes(image), 0, Image.MAGICS).putInt(bytes.length).put(bytes);
    Files.write(image, file.array());
  }

  /** A repeated number, which may be packed. */
  private static List<Integer> numbers(UnknownFieldSet.Field field) throws IOException {
    List<Integer> numbers = new ArrayList<>();
    field.getVarintList().forEach(number -> numbers.add(number.intValue()));
    for (ByteString packed : field.getLengthDelimitedList()) {
      var in = packed.newCodedInput();
      while (!in.isAtEnd()) {
        numbers.add(in.readInt32());
      }
    }
    return numbers;
  }
}
