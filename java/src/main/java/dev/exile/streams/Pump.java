package dev.exile.streams;

import dev.exile.linux.Linux;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shim's job {@code pump}, which outlives this agent: found again by its socket. Every question
 * is answered at once; a {@link ShimException} tells what it could not do. Thread-safe.
 *
 * <p>It is a pair of processes, of which one may be killed: the other goes on in its place, and the
 * log tells.
 */
final class Pump {
  private static final Logger LOG = LoggerFactory.getLogger(Pump.class);
  private static final long LOOK_AGAIN_MILLIS = 5;
  private static final long PATIENCE_MILLIS = 5_000;

  private final Path path;
  private final StringBuilder heard = new StringBuilder();

  /** Null after a question that was not answered: its answer, come late, is no other's. */
  private Connection connection;

  private volatile int pid;
  private volatile boolean over;

  /** A line to it; reading from it does not block. */
  private record Connection(SocketChannel channel, Selector selector) {
    /** Nor does this, where the pump is stopped and others have knocked before. */
    static Connection to(Path path) throws IOException {
      SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
      try {
        channel.configureBlocking(false);
        if (!channel.connect(UnixDomainSocketAddress.of(path))) {
          throw new ShimException("the pump at " + path + " does not answer");
        }
        Selector selector = Selector.open();
        channel.register(selector, SelectionKey.OP_READ);
        return new Connection(channel, selector);
      } catch (IOException e) {
        channel.close();
        throw e;
      }
    }

    void close() throws IOException {
      selector.close();
      channel.close();
    }
  }

  private Pump(Path path) throws IOException {
    this.path = path;
    connection = Connection.to(path);
    try {
      watch();
    } catch (IOException e) {
      hangUp();
      throw e;
    }
  }

  /** Learns which processes it is, and again once one of them has been killed. */
  // The log tells what an end means; nobody waits for it.
  @SuppressWarnings("FutureReturnValueIgnored")
  private void watch() throws IOException {
    String[] words = pids();
    CompletableFuture.anyOf(end(words[1]), end(words[2])).thenRunAsync(() -> ended(words[1]));
  }

  private String[] pids() throws IOException {
    String[] words = ask("pid").split(" ", -1);
    pid = Integer.parseInt(words[1]);
    return words;
  }

  private static CompletableFuture<?> end(String pid) {
    return ProcessHandle.of(Long.parseLong(pid))
        .map(ProcessHandle::onExit)
        .orElse(CompletableFuture.completedFuture(null));
  }

  private void ended(String former) {
    try {
      if (!over) {
        watch();
        if (!former.equals(Integer.toString(pid))) {
          LOG.warn("{}: one of the pump's processes was killed; process {} pumps on", path, pid);
        }
      }
    } catch (IOException e) {
      if (!over) {
        LOG.error(
            "{}: the pump was killed, both of its processes: streams that have moved end, and what"
                + " was on its way in them is lost ({})",
            path,
            e.getMessage());
      }
    }
  }

  /**
   * What became of a stream.
   *
   * @param up whether it comes from this host
   * @param bytes moved so far
   * @param pending what waits on this side, in bytes
   * @param over whether nothing more can come
   */
  record Status(boolean up, long bytes, int pending, boolean over) {}

  /**
   * A stream's ends within the pump, for {@link #far} and for the cell to take.
   *
   * @param far the relay's end of the wire
   * @param other of a pipe that was made, the process's end; of one that was taken, its size
   */
  record Ends(int far, int other) {}

  /**
   * A stream's descriptors within the pump; -1: gone.
   *
   * @param up whether it comes from this host
   * @param real the pump's end of the pipe
   * @param wire the wire's near end
   * @param size of the pipe, in bytes
   */
  record Inner(boolean up, int real, int wire, int size) {}

  /** Starts one that listens at {@code path}. */
  static Pump start(Shim shim, Path path) throws IOException {
    Process starter =
        new ProcessBuilder(shim.job("pump", List.of("--socket", path.toString())))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    starter.getOutputStream().close();
    // Its end first: the JDK takes what it has said out of the pipe then, which a reader may miss.
    awaitEnd(starter);
    String said = starter.inputReader(StandardCharsets.UTF_8).readLine();
    if (said == null || !said.startsWith("pump ")) {
      throw new ShimException(said == null ? "the pump did not start" : said);
    }
    return new Pump(path);
  }

  private static void awaitEnd(Process starter) throws ShimException {
    try {
      if (!starter.waitFor(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)) {
        starter.destroyForcibly();
        throw new ShimException("the pump did not start in time");
      }
    } catch (InterruptedException e) {
      // Before it has ended nobody would find the pump that it is starting.
      starter.onExit().completeOnTimeout(starter, PATIENCE_MILLIS, TimeUnit.MILLISECONDS).join();
      Thread.currentThread().interrupt();
      throw new ShimException("interrupted while the pump was started");
    }
  }

  /** The one that listens there, or nothing where there is none (any more). */
  static Optional<Pump> find(Path path) throws IOException {
    if (!Files.exists(path)) {
      return Optional.empty();
    }
    try {
      return Optional.of(new Pump(path));
    } catch (java.net.ConnectException e) {
      Files.deleteIfExists(path); // it was killed
      return Optional.empty();
    }
  }

  int pid() {
    return pid;
  }

  /** Home: joins what a process holds. */
  Ends take(StreamEnd end) throws IOException {
    String direction = end.reads() ? "up" : "down";
    return ends(ask("take %s %s %d %d".formatted(end.name(), direction, end.pid(), end.fd())));
  }

  /**
   * Destination: makes a pipe for a process.
   *
   * @param size in bytes; 0: the usual one
   * @param moved bytes that have passed on other hosts, and count
   */
  Ends make(String name, boolean reads, int size, long moved) throws IOException {
    return ends(ask("make %s %s %d %d".formatted(name, reads ? "down" : "up", size, moved)));
  }

  private static Ends ends(String answer) {
    String[] words = answer.split(" ", -1);
    return new Ends(Integer.parseInt(words[2]), Integer.parseInt(words[3]));
  }

  /** Home: joins a terminal, whose job are these processes, the root first. */
  Ends terminal(String name, Terminal terminal, List<Integer> members) throws IOException {
    String keys = terminal.reads() ? "keys" : "none";
    Ends ends = ends(ask("terminal %s %s %s".formatted(name, terminal.path(), keys)));
    for (int pid : members) {
      ask("member " + pid);
    }
    return ends;
  }

  /** Destination: joins the master that a cell's init holds. */
  Ends join(String name, int init, int master) throws IOException {
    return ends(ask("join %s %d %d".formatted(name, init, master)));
  }

  /** Home: the shell is about to take its terminal back. */
  void release() throws IOException {
    ask("release");
  }

  /** Home: a deputy was continued: in the foreground, in the background, or without a terminal. */
  String look() throws IOException {
    return ask("look").substring("looked ".length());
  }

  /** Destination: there the job is from now on. */
  void place(String place) throws IOException {
    ask("place " + place);
  }

  /** Home: the terminal's window may have another size. */
  void resized() throws IOException {
    ask("resized");
  }

  /** A duplicate of one of its descriptors. */
  int duplicate(int fd) throws IOException {
    check(); // only after that do we know whose descriptor it is
    int pidfd = Linux.pidfdOpen(pid);
    try {
      return Linux.pidfdGetFd(pidfd, fd);
    } finally {
      Linux.closeQuietly(pidfd);
    }
  }

  /** What was for others to take is taken; bytes move from now on. May be called again. */
  void start() throws IOException {
    ask("start");
  }

  /** No byte moves until the next {@link #start}. */
  void halt() throws IOException {
    ask("halt");
  }

  /** Where streams are within it, by name. */
  Map<String, Inner> inner() throws IOException {
    return table(
        "ends",
        words ->
            new Inner(
                words[1].equals("up"),
                Integer.parseInt(words[2]),
                Integer.parseInt(words[3]),
                Integer.parseInt(words[4])));
  }

  /** Fails where it has died. */
  void check() throws IOException {
    pids();
  }

  /** By name. */
  Map<String, Status> status() throws IOException {
    return table(
        "status",
        words ->
            new Status(
                words[1].equals("up"),
                Long.parseLong(words[2]),
                Integer.parseInt(words[3]),
                words[4].equals("over")));
  }

  /**
   * Waits until so many bytes have passed, or until no more do.
   *
   * @param wanted by stream
   * @param patience how long at most, and for how long no byte passes where no more do
   * @return false where some have passed all that time, and more are to
   */
  boolean awaitPassed(Map<String, Long> wanted, Duration patience)
      throws IOException, InterruptedException {
    long deadline = System.nanoTime() + patience.toNanos();
    Map<String, Long> before = null;
    while (true) {
      Map<String, Long> left = new LinkedHashMap<>();
      status()
          .forEach(
              (name, one) -> {
                if (!one.over() && one.bytes() < wanted.getOrDefault(name, 0L)) {
                  left.put(name, wanted.get(name) - one.bytes());
                }
              });
      before = before == null ? left : before;
      if (left.isEmpty()) {
        return true;
      }
      if (System.nanoTime() > deadline) {
        LOG.info("{}: to pass yet: {} bytes", path, left);
        return left.equals(before);
      }
      TimeUnit.MILLISECONDS.sleep(LOOK_AGAIN_MILLIS);
    }
  }

  /** An answer of a line for each stream, its name first. */
  private synchronized <T> Map<String, T> table(String request, Function<String[], T> row)
      throws IOException {
    Map<String, T> found = new LinkedHashMap<>();
    for (String line = ask(request); !line.equals("end"); line = hear()) {
      String[] words = line.split(" ", -1);
      found.put(words[0], row.apply(words));
    }
    return found;
  }

  /** Ends it: every stream is dropped as it is. One that was killed has done so by itself. */
  void quit() throws IOException {
    over = true;
    try {
      ask("quit");
    } catch (IOException e) {
      LOG.warn("the pump at {} has ended before: {}", path, e.getMessage());
      Files.deleteIfExists(path);
    } finally {
      hangUp();
    }
  }

  private synchronized void hangUp() throws IOException {
    if (connection != null) {
      connection.close();
      connection = null;
      heard.setLength(0);
    }
  }

  private synchronized String ask(String question) throws IOException {
    ByteBuffer bytes = ByteBuffer.wrap((question + "\n").getBytes(StandardCharsets.UTF_8));
    String answer;
    try {
      if (connection == null) {
        connection = Connection.to(path);
      }
      connection.channel.write(bytes); // a line always fits
      answer = hear();
    } catch (ShimException e) {
      throw e;
    } catch (IOException e) {
      hangUp();
      throw new ShimException("the pump at " + path + " has ended: " + e.getMessage());
    }
    if (answer.startsWith("error ")) {
      throw new ShimException("the pump: " + answer.substring("error ".length()));
    }
    return answer;
  }

  private String hear() throws IOException {
    try {
      return nextLine(System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(PATIENCE_MILLIS));
    } catch (IOException e) {
      hangUp();
      throw e;
    }
  }

  private String nextLine(long deadline) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(4096);
    while (heard.indexOf("\n") < 0) {
      long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
      if (left <= 0) {
        throw new ShimException("the pump at " + path + " does not answer");
      }
      connection.selector.select(left);
      connection.selector.selectedKeys().clear();
      if (connection.channel.read(buffer.clear()) < 0) {
        throw new ShimException("the pump at " + path + " has ended");
      }
      heard.append(StandardCharsets.UTF_8.decode(buffer.flip()));
    }
    int end = heard.indexOf("\n");
    String line = heard.substring(0, end);
    heard.delete(0, end + 1);
    return line;
  }
}
