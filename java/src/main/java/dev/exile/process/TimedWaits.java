package dev.exile.process;

import dev.exile.linux.Clocks;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Waits with a timeout that a freeze interrupts: when each of them is to end. The kernel keeps that
 * to itself, in a restart block that does not travel (native/src/waits.h), but for those calls that
 * tell the program what was left when they were interrupted.
 *
 * <p>For the others the time that has passed is the scheduler's: when the thread last ran, before
 * the freeze and as it was woken by it (se.exec_start of /proc/PID/sched). Where that is not to be
 * had, or the wait has been interrupted before, it begins anew.
 *
 * <p>Numbers and arguments of system calls are those of x86-64.
 */
public final class TimedWaits {
  private static final int POLL = 7;
  private static final int SELECT = 23;
  private static final int NANOSLEEP = 35;
  private static final int FUTEX = 202;
  private static final int RESTART = 219;
  private static final int CLOCK_NANOSLEEP = 230;
  private static final int PSELECT = 270;
  private static final int PPOLL = 271;

  private static final int FUTEX_COMMAND = 0x7f;
  private static final int FUTEX_WAIT = 0;
  private static final int FUTEX_WAIT_BITSET = 9;

  private static final long SECOND = 1_000_000_000;
  private static final int SYSCALL_CODE = 2;
  private static final int LOAD_NUMBER = 5;

  private final Map<Integer, Ran> ran = new HashMap<>();
  private final Map<Integer, Long> durations = new HashMap<>();

  /**
   * A wait and its end.
   *
   * @param tid the thread, as it counts itself
   * @param number of the system call
   * @param endNanos on this host's CLOCK_MONOTONIC, as this agent sees it; 0 where the call itself
   *     says when
   */
  public record Wait(int tid, int number, long endNanos) {}

  /**
   * When a thread last ran, in nanoseconds of its processor's clock, and how often it has slept.
   */
  private record Ran(long nanos, long sleeps) {}

  /** A system call in progress. */
  private record Call(int pid, int tid, int number, List<Long> arguments) {}

  /** Right before the freeze: looks at how long each wait has lasted already. */
  public void before(Collection<Integer> pids) {
    for (int pid : pids) {
      for (Call call : calls(pid)) {
        ran(call).ifPresent(when -> ran.put(call.tid(), when));
        durations.put(call.tid(), duration(call));
      }
    }
  }

  /** Right after it: the waits that it has interrupted. */
  public List<Wait> interrupted(Collection<Integer> pids) {
    long now = Clocks.monotonic();
    List<Wait> waits = new ArrayList<>();
    for (int pid : pids) {
      for (Call call : calls(pid)) {
        int tid =
            Proc.namespacePids(pid, call.tid()).stream().reduce((a, b) -> b).orElse(call.tid());
        if (call.number() == FUTEX && futex(call) == FUTEX_WAIT_BITSET) {
          waits.add(new Wait(tid, call.number(), 0));
        } else {
          waits.add(new Wait(tid, call.number(), now + left(call)));
        }
      }
    }
    return waits;
  }

  private long left(Call call) {
    long told = toldLeft(call);
    if (told != 0) {
      return time(call, told);
    }
    long duration = durations.getOrDefault(call.tid(), duration(call));
    Ran before = ran.get(call.tid());
    Optional<Ran> after = ran(call);
    // The freeze itself has woken it, once.
    if (before == null || after.isEmpty() || after.get().sleeps() > before.sleeps() + 1) {
      return duration;
    }
    return Math.max(0, duration - Math.max(0, after.get().nanos() - before.nanos()));
  }

  /** Where the kernel has written what was left; 0 where it has not. */
  private static long toldLeft(Call call) {
    return switch (call.number()) {
      case NANOSLEEP -> call.arguments().get(1);
      case CLOCK_NANOSLEEP -> call.arguments().get(3);
      case SELECT, PSELECT -> call.arguments().get(4);
      case PPOLL -> call.arguments().get(2);
      default -> 0;
    };
  }

  /** What it was asked to wait, in nanoseconds. */
  private static long duration(Call call) {
    return switch (call.number()) {
      case POLL -> call.arguments().get(2).intValue() * 1_000_000L;
      case NANOSLEEP -> time(call, call.arguments().get(0));
      case CLOCK_NANOSLEEP, PPOLL -> time(call, call.arguments().get(2));
      case FUTEX -> futex(call) == FUTEX_WAIT ? time(call, call.arguments().get(3)) : 0;
      default -> time(call, call.arguments().get(4));
    };
  }

  private static int futex(Call call) {
    return call.arguments().get(1).intValue() & FUTEX_COMMAND;
  }

  private static boolean hasEnd(Call call) {
    List<Long> arguments = call.arguments();
    return switch (call.number()) {
      case POLL -> arguments.get(2).intValue() > 0;
      case NANOSLEEP -> true;
      case CLOCK_NANOSLEEP -> (arguments.get(1) & 1) == 0; // else a point in time, which stays
      case SELECT, PSELECT -> arguments.get(4) != 0;
      case PPOLL -> arguments.get(2) != 0;
      case FUTEX ->
          arguments.get(3) != 0 && (futex(call) == FUTEX_WAIT || futex(call) == FUTEX_WAIT_BITSET);
      default -> false;
    };
  }

  /** A struct timespec, or timeval, of the process, in nanoseconds; 0 where it cannot be read. */
  private static long time(Call call, long address) {
    ByteBuffer value = memory(call.pid(), address, 2 * Long.BYTES);
    if (value.remaining() < 2 * Long.BYTES) {
      return 0;
    }
    return value.getLong() * SECOND + value.getLong() * (call.number() == SELECT ? 1_000 : 1);
  }

  private static ByteBuffer memory(int pid, long address, int size) {
    ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.nativeOrder());
    try (FileChannel memory =
        FileChannel.open(Path.of("/proc/" + pid + "/mem"), StandardOpenOption.READ)) {
      while (bytes.hasRemaining() && memory.read(bytes, address + bytes.position()) > 0) {
        // the rest follows
      }
    } catch (IOException e) {
      return bytes.limit(0); // it has ended, or there is nothing
    }
    return bytes.flip();
  }

  /** The waits with a timeout that a process's threads are in. */
  private static List<Call> calls(int pid) {
    List<Call> calls = new ArrayList<>();
    try (Stream<Path> tasks = Files.list(Path.of("/proc/" + pid + "/task"))) {
      tasks.forEach(
          task -> {
            int tid = Integer.parseInt(task.getFileName().toString());
            Proc.read(pid, "task/" + tid + "/syscall")
                .flatMap(line -> parse(pid, tid, line))
                .filter(TimedWaits::hasEnd)
                .ifPresent(calls::add);
          });
    } catch (IOException | UncheckedIOException e) {
      return calls; // it ends
    }
    return calls;
  }

  /** NUMBER ARGUMENT*6 STACK-POINTER INSTRUCTION-POINTER, see proc_pid_syscall(5). */
  private static Optional<Call> parse(int pid, int tid, String line) {
    String[] words = line.trim().split(" ", -1);
    if (words.length < 9) {
      return Optional.empty(); // it runs, or waits for something else
    }
    List<Long> arguments = new ArrayList<>();
    for (int i = 1; i <= 6; i++) {
      arguments.add(Long.parseUnsignedLong(words[i].substring(2), 16));
    }
    int number = Integer.parseInt(words[0]);
    if (number == RESTART) {
      number = called(pid, Long.parseUnsignedLong(words[8].substring(2), 16));
    }
    return Optional.of(new Call(pid, tid, number, arguments));
  }

  /** Of a call that the kernel has restarted: what was called, by `mov $NUMBER, %eax; syscall`. */
  private static int called(int pid, long ip) {
    ByteBuffer code = memory(pid, ip - SYSCALL_CODE - LOAD_NUMBER, LOAD_NUMBER);
    return code.remaining() == LOAD_NUMBER && code.get() == (byte) 0xb8 ? code.getInt() : RESTART;
  }

  private static Optional<Ran> ran(Call call) {
    Map<String, String> values = new HashMap<>();
    Proc.read(call.pid(), "task/" + call.tid() + "/sched")
        .ifPresent(
            text ->
                text.lines()
                    .map(line -> line.split(":", 2))
                    .filter(pair -> pair.length == 2)
                    .forEach(pair -> values.put(pair[0].trim(), pair[1].trim())));
    String nanos = values.get("se.exec_start");
    String sleeps = values.get("nr_voluntary_switches");
    if (nanos == null || sleeps == null) {
      return Optional.empty(); // a kernel without CONFIG_SCHED_DEBUG
    }
    return Optional.of(
        new Ran((long) (Double.parseDouble(nanos) * 1_000_000), Long.parseLong(sleeps)));
  }
}
