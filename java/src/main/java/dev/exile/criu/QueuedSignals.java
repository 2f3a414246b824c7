package dev.exile.criu;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Signals that were pending at the dump: those that others have sent do not travel in CRIU's
 * images. They stand in home's queues still, and are forwarded from there as if they had come in
 * exile. A standard signal that the process had got at the destination already would else, pending
 * in its body at home, swallow the next of its number.
 *
 * <p>What a process has brought upon itself (a fault, a timer, its own raise) has to meet the
 * thread where it stands, and travels; at home it is left out (native/src/siginfo.c has the same
 * rule).
 */
public final class QueuedSignals {
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
  private static final int SI_TIMER = -2;
  private static final int SI_MESGQ = -3;
  private static final int SI_SIGIO = -5;
  private static final int SI_KERNEL = 0x80;

  /**
   * SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGPIPE, SIGALRM, SIGCHLD, SIGURG, SIGXCPU, SIGXFSZ,
   * SIGVTALRM, SIGPROF, SIGIO, SIGSYS: what the kernel sends a process for what itself has done.
   */
  private static final Set<Integer> OWN =
      Set.of(4, 5, 7, 8, 11, 13, 14, 17, 23, 24, 25, 26, 27, 29, 31);

  private QueuedSignals() {}

  /** Takes out of a complete dump what others have sent. */
  public static void settle(Path images) throws IOException {
    for (UnknownFieldSet process : Image.entries(images.resolve("pstree.img"))) {
      int pid = process.getField(PSTREE_PID).getVarintList().get(0).intValue();
      for (int tid : numbers(process.getField(PSTREE_THREADS))) {
        Path image = images.resolve("core-" + tid + ".img");
        UnknownFieldSet core = Image.entries(image).get(0);
        UnknownFieldSet settled = settle(core, CORE_TASK, TASK_SHARED_SIGNALS, pid);
        settled = settle(settled, CORE_THREAD, THREAD_PRIVATE_SIGNALS, pid);
        if (!settled.equals(core)) {
          overwrite(image, settled);
        }
      }
    }
  }

  private static UnknownFieldSet settle(UnknownFieldSet core, int holder, int queues, int pid)
      throws IOException {
    return change(core, holder, held -> change(held, queues, queue -> own(queue, pid)));
  }

  /** A queue without what others have sent. */
  private static UnknownFieldSet own(UnknownFieldSet queue, int pid) throws IOException {
    UnknownFieldSet.Field.Builder kept = UnknownFieldSet.Field.newBuilder();
    for (ByteString entry : queue.getField(QUEUE_SIGNALS).getLengthDelimitedList()) {
      if (isOwn(siginfo(UnknownFieldSet.parseFrom(entry)), pid)) {
        kept.addLengthDelimited(entry);
      }
    }
    return with(queue, QUEUE_SIGNALS, kept);
  }

  private static ByteBuffer siginfo(UnknownFieldSet entry) {
    return entry
        .getField(ENTRY_SIGINFO)
        .getLengthDelimitedList()
        .get(0)
        .asReadOnlyByteBuffer()
        .order(ByteOrder.nativeOrder());
  }

  private static boolean isOwn(ByteBuffer siginfo, int pid) {
    int code = siginfo.getInt(SI_CODE);
    return switch (code) {
      case SI_TIMER, SI_MESGQ, SI_SIGIO -> true;
      case SI_KERNEL -> OWN.contains(siginfo.getInt(SI_SIGNO)); // others: a terminal's keys, say
      default -> code > 0 || siginfo.getInt(SI_PID) == pid; // no other process may use one above 0
    };
  }

  /** Changes the messages that a field holds; where there is none, nothing. */
  private static UnknownFieldSet change(UnknownFieldSet holder, int field, Change change)
      throws IOException {
    if (!holder.hasField(field)) {
      return holder;
    }
    UnknownFieldSet.Field.Builder changed = UnknownFieldSet.Field.newBuilder();
    for (ByteString message : holder.getField(field).getLengthDelimitedList()) {
      changed.addLengthDelimited(change.apply(UnknownFieldSet.parseFrom(message)).toByteString());
    }
    return with(holder, field, changed);
  }

  @FunctionalInterface
  private interface Change {
    UnknownFieldSet apply(UnknownFieldSet message) throws IOException;
  }

  private static UnknownFieldSet with(
      UnknownFieldSet holder, int field, UnknownFieldSet.Field.Builder content) {
    return holder.toBuilder().clearField(field).mergeField(field, content.build()).build();
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
