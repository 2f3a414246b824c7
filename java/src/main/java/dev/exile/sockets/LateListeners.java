package dev.exile.sockets;

import dev.exile.linux.ForeignTcp;
import dev.exile.linux.Linux;
import dev.exile.process.Proc;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Listeners that the process has opened since it came. Such a one is not allowed to answer at an
 * address that is not this host's, so the kernel drops what a {@link Newcomer} sends it. Where a
 * newcomer gets no answer, the process's listeners on that port are admitted, see {@link
 * ForeignTcp#admit}: the kernel sends its SYN again a second after the first, and that one is
 * heard.
 *
 * <p>Thread-safe.
 */
final class LateListeners {
  private static final Logger log = LoggerFactory.getLogger(LateListeners.class);

  /** An answer over loopback takes far less; the look is over well before the second SYN. */
  private static final long PATIENCE_MILLIS = 200;

  /** Looks are so far apart at least, however many newcomers wait (where the backlog is full). */
  private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(500);

  private static final String LISTEN = "0A";

  private final String migration;
  private volatile Supplier<List<Integer>> processes = List::of;
  private boolean looking;
  private long lookedNanos = System.nanoTime() - PAUSE_NANOS;

  /**
   * @param migration its id, for the log
   */
  LateListeners(String migration) {
    this.migration = migration;
  }

  /**
   * @param pids tells the PIDs of the process's tree on this host, by any thread
   */
  void of(Supplier<List<Integer>> pids) {
    processes = pids;
  }

  /** Looks for listeners for as long as a newcomer's connection has no outcome. On its loop. */
  // Nothing waits for what is scheduled.
  @SuppressWarnings("FutureReturnValueIgnored")
  void watch(Splice newcomer, int port) {
    newcomer
        .loop()
        .schedule(
            () -> {
              if (newcomer.isConnecting()) {
                look(port);
                watch(newcomer, port);
              }
            },
            PATIENCE_MILLIS,
            TimeUnit.MILLISECONDS);
  }

  @SuppressWarnings("FutureReturnValueIgnored")
  private void look(int port) {
    synchronized (this) {
      if (looking || System.nanoTime() - lookedNanos < PAUSE_NANOS) {
        return;
      }
      looking = true;
    }
    CompletableFuture.runAsync(
        () -> {
          try {
            admit(port);
          } catch (IOException | RuntimeException e) {
            log.warn("{}: new clients may not reach port {}: {}", migration, port, e.toString());
          } finally {
            synchronized (this) {
              looking = false;
              lookedNanos = System.nanoTime();
            }
          }
        });
  }

  private void admit(int port) throws IOException {
    Set<String> listening = new HashSet<>(listening("/proc/net/tcp", port));
    listening.addAll(listening("/proc/net/tcp6", port));
    if (listening.isEmpty()) {
      return;
    }
    for (int pid : processes.get()) {
      for (Map.Entry<Integer, String> open : Proc.descriptors(pid).entrySet()) {
        if (listening.contains(open.getValue())) {
          admit(pid, open.getKey());
        }
      }
    }
  }

  private void admit(int pid, int fd) {
    try {
      int pidfd = Linux.pidfdOpen(pid);
      try {
        int listener = Linux.pidfdGetFd(pidfd, fd);
        try {
          ForeignTcp.admit(listener);
        } finally {
          Linux.close(listener);
        }
      } finally {
        Linux.close(pidfd);
      }
    } catch (IOException e) {
      // It may have been closed meanwhile: then it needs nothing.
      log.debug("{}: listener {} of {} is passed over: {}", migration, fd, pid, e.getMessage());
    }
  }

  /** Listening sockets as /proc/PID/fd names them, see proc_net(5). */
  private static List<String> listening(String table, int port) throws IOException {
    String suffix = ":%04X".formatted(port);
    try (var lines = Files.lines(Path.of(table))) {
      return lines
          .map(line -> line.strip().split("\\s+", -1))
          .filter(fields -> fields.length > 9 && fields[3].equals(LISTEN))
          .filter(fields -> fields[1].endsWith(suffix))
          .map(fields -> "socket:[" + fields[9] + "]")
          .toList();
    } catch (NoSuchFileException e) {
      return List.of(); // no IPv6
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
  }
}
