package dev.exile.memory;

import dev.exile.linux.MemoryFile;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.BufferedReader;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shim's job {@code pager}, native/src/pager.c, which outlives this agent: it maps the pages of
 * restored processes as they touch them, and all others meanwhile. Thread-safe.
 */
public final class Pager implements Closeable {
  private static final Logger LOG = LoggerFactory.getLogger(Pager.class);
  private static final int START_SECONDS = 10;
  private static final int AGAIN_SECONDS = 3;
  private static final int AGAIN_MILLIS = 20;

  private final Path path;
  private Line questions;
  private Line follower;

  /** How one process's pages stand. */
  public record Status(
      int pid, long missing, long here, long installed, long faults, long waiting) {}

  /** Hears what happens; on a thread of its own. */
  public interface Listener {
    /** A thread waits for a page that is missing. */
    void wanted(int pid, long address);

    /** One of its two processes was killed: what it was told last is to be told again. */
    void hungUp() throws IOException;

    /** Both of them were, although it had not been told to end. */
    void died();
  }

  /** A connection. */
  private record Line(SocketChannel channel, BufferedReader reader) {
    static Line to(Path path) throws IOException {
      SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
      try {
        channel.connect(UnixDomainSocketAddress.of(path));
      } catch (IOException e) {
        channel.close();
        throw e;
      }
      return new Line(
          channel, new BufferedReader(Channels.newReader(channel, StandardCharsets.UTF_8)));
    }

    void say(String line) throws IOException {
      ByteBuffer bytes = StandardCharsets.UTF_8.encode(line + "\n");
      while (bytes.hasRemaining()) {
        channel.write(bytes);
      }
    }

    String hear() throws IOException {
      String line = reader.readLine();
      if (line == null) {
        throw new EOFException("the pager has ended");
      }
      return line;
    }
  }

  private Pager(Path path) throws IOException {
    this.path = path;
    this.questions = Line.to(path);
  }

  /** Starts one. */
  public static Pager start(Shim shim, Path path) throws IOException {
    Process process =
        new ProcessBuilder(shim.job("pager", List.of("--socket", path.toString())))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    try {
      if (!process.waitFor(START_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new ShimException("the pager did not start within " + START_SECONDS + " s");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while the pager was started", e);
    }
    return new Pager(path);
  }

  /**
   * Finds the one that a former agent has started.
   *
   * @throws IOException where there is none any more
   */
  public static Pager find(Path path) throws IOException {
    return new Pager(path);
  }

  /**
   * Announces a process that CRIU is going to restore.
   *
   * @param directory where its plan may be written
   */
  public void announce(Plan plan, Store store, Path directory) throws IOException {
    Path file = directory.resolve("plan-" + plan.pid());
    Files.write(file, plan.lines());
    ask("process %d %s %s".formatted(plan.pid(), store.path(plan.pid()), file), "process ");
  }

  /** Takes what {@code criu restore --lazy-pages} sends, that works in this directory. */
  public void listen(Path directory) throws IOException {
    ask("listen " + directory, "listening");
  }

  /** The store has this range by now. */
  public void here(int pid, long start, long end) throws IOException {
    talk(
        line -> {
          line.say("here %d %x %x".formatted(pid, start, end));
          return null;
        });
  }

  /** Ranges of a process that are still missing. */
  public List<Area> missing(int pid) throws IOException {
    List<Area> ranges = new ArrayList<>();
    for (String[] words : list("missing " + pid, "missing")) {
      ranges.add(new Area(Long.parseLong(words[2], 16), Long.parseLong(words[3], 16)));
    }
    return ranges;
  }

  /** How all processes stand. */
  public List<Status> status() throws IOException {
    List<Status> all = new ArrayList<>();
    for (String[] words : list("status", "status")) {
      all.add(
          new Status(
              Integer.parseInt(words[1]),
              Long.parseLong(words[3]),
              Long.parseLong(words[5]),
              Long.parseLong(words[7]),
              Long.parseLong(words[9]),
              Long.parseLong(words[11])));
    }
    return all;
  }

  private List<String[]> list(String question, String word) throws IOException {
    return talk(
        line -> {
          List<String[]> answers = new ArrayList<>();
          line.say(question);
          for (String answer = line.hear(); !answer.equals("end"); answer = line.hear()) {
            if (!answer.startsWith(word + " ")) {
              throw new ShimException(answer);
            }
            answers.add(answer.split(" ", -1));
          }
          return answers;
        });
  }

  private String ask(String question, String expected) throws IOException {
    return talk(
        line -> {
          line.say(question);
          String answer = line.hear();
          if (!answer.startsWith(expected)) {
            throw new ShimException(answer);
          }
          return answer;
        });
  }

  @FunctionalInterface
  private interface Talk<T> {
    T over(Line line) throws IOException;
  }

  /**
   * Where that is hung up on, so must the follower's line be, whether it was made before or after
   * the kill: its thread makes both anew.
   */
  private synchronized <T> T talk(Talk<T> talk) throws IOException {
    try {
      return talk.over(questions);
    } catch (ShimException e) {
      throw e; // an answer
    } catch (IOException e) {
      if (follower != null) {
        follower.channel().close();
      }
      throw e;
    }
  }

  /** Hears of what happens from now on; pages that are wanted already are told again. */
  public synchronized void follow(Listener listener) throws IOException {
    Line next = Line.to(path);
    try {
      next.say("follow");
    } catch (IOException e) {
      next.channel().close();
      throw e;
    }
    Line former = follower;
    follower = next;
    if (former != null) {
      former.channel().close();
    }
    Thread thread = new Thread(() -> hear(next, listener), "pager");
    thread.setDaemon(true);
    thread.start();
  }

  private void hear(Line line, Listener listener) {
    try {
      while (true) {
        String[] words = line.hear().split(" ", -1);
        switch (words[0]) {
          case "want" -> listener.wanted(Integer.parseInt(words[1]), Long.parseLong(words[2], 16));
          case "error" -> LOG.error("{}: {}", path, String.join(" ", words));
          default -> LOG.debug("{}: {}", path, String.join(" ", words));
        }
      }
    } catch (IOException e) {
      if (isCurrent(line)) {
        again(listener);
      }
    }
  }

  private void again(Listener listener) {
    LOG.warn("{}: the pager hangs up", path);
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(AGAIN_SECONDS);
    while (System.nanoTime() < deadline) {
      try {
        Line next = Line.to(path);
        synchronized (this) {
          questions.channel().close();
          questions = next;
        }
        listener.hungUp();
        return;
      } catch (IOException e) {
        LOG.debug("{}: {}", path, e.getMessage());
      }
      try {
        TimeUnit.MILLISECONDS.sleep(AGAIN_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
    listener.died();
  }

  private synchronized boolean isCurrent(Line line) {
    return follower != null && follower.channel() == line.channel();
  }

  /** The stores' files that it holds, of processes that have those PIDs. */
  public void giveBack(Store store, List<Integer> pids) throws IOException {
    int pid = pid();
    try (Stream<Path> fds = Files.list(Path.of("/proc/" + pid + "/fd"))) {
      for (Path fd : fds.toList()) {
        String target = Files.readSymbolicLink(fd).toString();
        for (int of : pids) {
          if (target.startsWith("/memfd:" + Store.NAME + of + " ")) {
            store.take(of, MemoryFile.of(pid, Integer.parseInt(fd.getFileName().toString())));
          }
        }
      }
    }
  }

  private int pid() throws IOException {
    return Integer.parseInt(ask("pid", "pid ").split(" ", -1)[1]);
  }

  /** Ends it; what it has not mapped is lost. */
  public void quit() throws IOException {
    synchronized (this) {
      follower = null;
    }
    ask("quit", "bye");
    close();
    Files.deleteIfExists(path);
  }

  /** Lets it go on alone. */
  @Override
  public void close() throws IOException {
    synchronized (this) {
      if (follower != null) {
        Line former = follower;
        follower = null;
        former.channel().close();
      }
    }
    questions.channel().close();
  }
}
