package dev.exile.criu;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.UnknownFieldSet.Field;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/**
 * The timers in CRIU's images: alarm and setitimer, POSIX timers, timerfd. CRIU keeps what is left
 * of each and has it begin with that; so what has passed since the dump is taken from it here.
 */
public final class Timers {
  private static final int MAGICS = 8;
  private static final long SECOND = 1_000_000_000;
  private static final long MICRO = 1_000;

  // Field numbers of CRIU's images/core.proto, timer.proto, fdinfo.proto and timerfd.proto.
  private static final int CORE_TASK = 3;
  private static final int TASK_TIMERS = 7;
  private static final int TIMERS_REAL = 1;
  private static final int TIMERS_POSIX = 4;
  private static final int ITIMER_VALUE = 3; // seconds; the next field: microseconds
  private static final int POSIX_CLOCK = 2;
  private static final int POSIX_VALUE = 9; // seconds; the next field: nanoseconds
  private static final int FILE_TIMERFD = 12;
  private static final int TIMERFD_CLOCK = 4;
  private static final int TIMERFD_VALUE = 7; // seconds; the next field: nanoseconds

  /** CLOCK_REALTIME, _MONOTONIC, _BOOTTIME and _TAI; the others stand still with the process. */
  private static final Set<Long> GOING_ON = Set.of(0L, 1L, 7L, 11L);

  private Timers() {}

  /** Takes so many nanoseconds from every timer of these processes; what is due ends at once. */
  public static void advance(Path images, Collection<Integer> pids, long nanos) throws IOException {
    for (int pid : pids) {
      change(
          images.resolve("core-" + pid + ".img"),
          core ->
              within(
                  core,
                  CORE_TASK,
                  task -> within(task, TASK_TIMERS, timers -> advanced(timers, nanos))));
    }
    change(
        images.resolve("files.img"),
        file ->
            within(
                file,
                FILE_TIMERFD,
                timer -> advanced(timer, TIMERFD_CLOCK, TIMERFD_VALUE, 1, nanos)));
  }

  private static UnknownFieldSet advanced(UnknownFieldSet timers, long nanos) throws IOException {
    return within(
        within(timers, TIMERS_REAL, timer -> advanced(timer, 0, ITIMER_VALUE, MICRO, nanos)),
        TIMERS_POSIX,
        timer -> advanced(timer, POSIX_CLOCK, POSIX_VALUE, 1, nanos));
  }

  /** One timer; {@code clock} is the field that names its clock, 0 where it has none. */
  private static UnknownFieldSet advanced(
      UnknownFieldSet timer, int clock, int value, long unit, long nanos) {
    long left = number(timer, value) * SECOND + number(timer, value + 1) * unit;
    if (left == 0 || (clock != 0 && !GOING_ON.contains(number(timer, clock)))) {
      return timer; // not armed, or of a clock that only runs while the process does
    }
    long then = Math.max(unit, left - nanos); // 0 would disarm it
    return timer.toBuilder()
        .clearField(value)
        .clearField(value + 1)
        .mergeField(value, Field.newBuilder().addVarint(then / SECOND).build())
        .mergeField(value + 1, Field.newBuilder().addVarint(then % SECOND / unit).build())
        .build();
  }

  private static long number(UnknownFieldSet message, int field) {
    List<Long> values = message.getField(field).getVarintList();
    return values.isEmpty() ? 0 : values.get(values.size() - 1);
  }

  @FunctionalInterface
  private interface Change {
    UnknownFieldSet apply(UnknownFieldSet message) throws IOException;
  }

  /** Changes the messages that a field holds; where there is none, nothing. */
  private static UnknownFieldSet within(UnknownFieldSet holder, int field, Change change)
      throws IOException {
    if (!holder.hasField(field)) {
      return holder;
    }
    Field.Builder changed = Field.newBuilder();
    for (ByteString bytes : holder.getField(field).getLengthDelimitedList()) {
      changed.addLengthDelimited(change.apply(UnknownFieldSet.parseFrom(bytes)).toByteString());
    }
    return holder.toBuilder().clearField(field).mergeField(field, changed.build()).build();
  }

  /** Changes every entry of an image, which is written anew only where one differs then. */
  private static void change(Path image, Change change) throws IOException {
    byte[] old = Files.readAllBytes(image);
    ByteBuffer in = ByteBuffer.wrap(old).order(ByteOrder.nativeOrder()).position(MAGICS);
    ByteArrayOutputStream out = new ByteArrayOutputStream(old.length);
    out.write(old, 0, MAGICS);
    boolean differs = false;
    while (in.remaining() >= Integer.BYTES) {
      byte[] entry = new byte[in.getInt()];
      in.get(entry);
      UnknownFieldSet message = UnknownFieldSet.parseFrom(entry);
      UnknownFieldSet changed = change.apply(message);
      differs |= !changed.equals(message);
      byte[] bytes = changed.toByteArray();
      out.writeBytes(
          ByteBuffer.allocate(Integer.BYTES)
              .order(ByteOrder.nativeOrder())
              .putInt(bytes.length)
              .array());
      out.writeBytes(bytes);
    }
    if (differs) {
      Files.write(image, out.toByteArray());
    }
  }
}
