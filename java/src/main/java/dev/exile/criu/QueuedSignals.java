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

/**
 * Signals that were pending at the dump and travel in CRIU's images: at home they are pending
 * still, and are not to be forwarded as well.
 *
 * @param pid the process
 * @param tid the thread whose own queue they stand in, 0 for the process's shared one
 * @param number the signal's number
 * @param count how many of that number
 */
public record QueuedSignals(int pid, int tid, int number, int count) {
  /** An image file begins with two magic numbers; then each entry with its length. */
  private static final int MAGICS = 8;

  // Field numbers of CRIU's images/pstree.proto, core.proto and siginfo.proto.
  private static final int PSTREE_PID = 1;
  private static final int PSTREE_THREADS = 5;
  private static final int CORE_TASK = 3;
  private static final int CORE_THREAD = 5;
  private static final int TASK_SHARED_SIGNALS = 10;
  private static final int THREAD_PRIVATE_SIGNALS = 9;
  private static final int QUEUE_SIGNALS = 1;
  private static final int ENTRY_SIGINFO = 1;

  /** Reads them from a complete dump. */
  public static List<QueuedSignals> read(Path images) throws IOException {
    List<QueuedSignals> all = new ArrayList<>();
    for (UnknownFieldSet process : entries(images.resolve("pstree.img"))) {
      int pid = process.getField(PSTREE_PID).getVarintList().get(0).intValue();
      for (int tid : numbers(process.getField(PSTREE_THREADS))) {
        UnknownFieldSet core = entries(images.resolve("core-" + tid + ".img")).get(0);
        for (UnknownFieldSet task : messages(core, CORE_TASK)) {
          count(task, TASK_SHARED_SIGNALS, pid, 0, all);
        }
        for (UnknownFieldSet thread : messages(core, CORE_THREAD)) {
          count(thread, THREAD_PRIVATE_SIGNALS, pid, tid, all);
        }
      }
    }
    return all;
  }

  private static void count(
      UnknownFieldSet holder, int field, int pid, int tid, List<QueuedSignals> all)
      throws IOException {
    Map<Integer, Integer> counts = new LinkedHashMap<>();
    for (UnknownFieldSet queue : messages(holder, field)) {
      for (UnknownFieldSet entry : messages(queue, QUEUE_SIGNALS)) {
        ByteString siginfo = entry.getField(ENTRY_SIGINFO).getLengthDelimitedList().get(0);
        int number =
            siginfo.asReadOnlyByteBuffer().order(ByteOrder.nativeOrder()).getInt(0); // si_signo
        counts.merge(number, 1, Integer::sum);
      }
    }
    counts.forEach((number, count) -> all.add(new QueuedSignals(pid, tid, number, count)));
  }

  private static List<UnknownFieldSet> entries(Path image) throws IOException {
    ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(image)).order(ByteOrder.nativeOrder());
    List<UnknownFieldSet> entries = new ArrayList<>();
    file.position(MAGICS);
    while (file.remaining() >= Integer.BYTES) {
      byte[] entry = new byte[file.getInt()];
      file.get(entry);
      entries.add(UnknownFieldSet.parseFrom(entry));
    }
    return entries;
  }

  private static List<UnknownFieldSet> messages(UnknownFieldSet holder, int field)
      throws IOException {
    List<UnknownFieldSet> messages = new ArrayList<>();
    for (ByteString bytes : holder.getField(field).getLengthDelimitedList()) {
      messages.add(UnknownFieldSet.parseFrom(bytes));
    }
    return messages;
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
