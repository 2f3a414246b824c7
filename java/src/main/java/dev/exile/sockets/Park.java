package dev.exile.sockets;

import dev.exile.linux.Linux;
import dev.exile.shim.Shim;
import io.netty.channel.EventLoopGroup;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The sockets of one migration on one host. Each is held twice: by this agent, which works with it,
 * and by the parker (native/src/park.c), a small process from which the next agent takes it. A
 * parker that is killed is started again and given all of them.
 *
 * <p>Descriptors given to {@link #hold} and {@link #listen} belong to this object from then on, and
 * are closed by {@link #drop}, {@link #quit} and {@link #close}. Thread-safe; callbacks come on an
 * event loop, without any lock held.
 */
// A line that cannot be said is said again to the next parker.
@SuppressWarnings("FutureReturnValueIgnored")
public final class Park implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Park.class);
  private static final int LIST_SECONDS = 10;
  private static final long RETRY_MILLIS = 500;

  private final Shim shim;
  private final Path path;
  private final EventLoopGroup loops;
  private final Map<String, Entry> entries = new LinkedHashMap<>();

  /** What the parker has not answered for yet; some may have to be dropped by now. */
  private final Map<String, Entry> offered = new LinkedHashMap<>();

  private CompletableFuture<Void> listed;
  private Consumer<Parked> acceptor;
  private ParkLink link;
  private boolean over;

  /** Whether a new parker is still being given what a killed one held. */
  private boolean refilling;

  /**
   * A parked socket.
   *
   * @param name its name within the migration
   * @param fd this agent's descriptor of it
   * @param listening whether it listens
   * @param note what was noted, see {@link ParkNote}
   */
  record Parked(String name, int fd, boolean listening, String note) {}

  /** The same, with the parker's part. */
  private static final class Entry {
    final Parked parked;
    final CompletableFuture<Void> held = new CompletableFuture<>();

    /** The parker's number of it; -1 while that is not known. */
    int own = -1;

    /** Not null once it is to be dropped. */
    CompletableFuture<Void> dropped;

    Entry(Parked parked) {
      this.parked = parked;
    }
  }

  private Park(Shim shim, Path path, EventLoopGroup loops) {
    this.shim = shim;
    this.path = path;
    this.loops = loops;
  }

  /**
   * Finds the parker that a former agent has started, with all that it holds, or starts one.
   *
   * @param path its socket, in a directory that only root may enter
   */
  public static Park open(Shim shim, Path path, EventLoopGroup loops) throws IOException {
    Park park = new Park(shim, path, loops);
    try {
      park.takeUp();
    } catch (IOException e) {
      park.close();
      throw e;
    }
    return park;
  }

  /** Ends the parker that a former agent has started, where there is one, and drops its sockets. */
  public static void end(Path path, EventLoopGroup loops) throws IOException {
    ParkLink.end(path, loops);
  }

  private void takeUp() throws IOException {
    try {
      link = ParkLink.connect(path, loops, new Talk());
    } catch (IOException e) {
      LOG.debug("{}: {}", path, e.getMessage());
      ParkLink.start(shim, path);
      synchronized (this) {
        link = ParkLink.connect(path, loops, new Talk());
      }
      if (!link.isOpen()) {
        throw new IOException("the parker at " + path + " was killed as it began");
      }
      return;
    }
    CompletableFuture<Void> all = new CompletableFuture<>();
    synchronized (this) {
      listed = all;
    }
    link.say("list");
    try {
      all.get(LIST_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new IOException("cannot take over what is parked: " + e.getCause().getMessage(), e);
    } catch (TimeoutException e) {
      throw new IOException("the parker at " + path + " does not answer", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while sockets were taken over", e);
    }
  }

  /**
   * Parks a socket.
   *
   * @return completes once the socket outlives this agent; never, where the parker is ended before
   */
  CompletableFuture<Void> hold(String name, int fd, ParkNote note) {
    return add(new Parked(name, fd, false, note.toString()));
  }

  /** The same for a listening one; nothing is accepted before {@link #accept}. */
  CompletableFuture<Void> listen(String name, int fd) {
    return add(new Parked(name, fd, true, ParkNote.LISTENER));
  }

  private synchronized CompletableFuture<Void> add(Parked parked) {
    Entry entry = new Entry(parked);
    if (over || entries.putIfAbsent(parked.name(), entry) != null) {
      Linux.closeQuietly(parked.fd());
      throw new IllegalStateException(
          over ? "the sockets of " + path + " are given up" : parked.name() + " is parked already");
    }
    offer(entry);
    return entry.held;
  }

  private void offer(Entry entry) {
    Parked parked = entry.parked;
    entry.own = -1;
    offered.put(parked.name(), entry);
    link.say(
        "%s %s %d %s"
            .formatted(
                parked.listening() ? "listen" : "hold", parked.name(), parked.fd(), parked.note()));
  }

  /** What is parked, or is on its way there. */
  synchronized List<Parked> all() {
    return entries.values().stream().map(entry -> entry.parked).toList();
  }

  /** The parked socket of that name, or null. */
  synchronized Parked get(String name) {
    Entry entry = entries.get(name);
    return entry == null ? null : entry.parked;
  }

  /**
   * Closes a socket here and there; where it is not parked, does nothing.
   *
   * @return completes once the parker cannot but do it, even if this agent dies
   */
  CompletableFuture<Void> drop(String name) {
    Entry entry;
    ParkLink holder;
    int own;
    synchronized (this) {
      entry = entries.remove(name);
      if (entry == null) {
        return CompletableFuture.completedFuture(null);
      }
      entry.dropped = new CompletableFuture<>();
      holder = link;
      own = entry.own;
    }
    if (own >= 0) {
      drop(entry, holder, own);
    } // else once it is: the parker takes it from this agent's descriptor
    return entry.dropped;
  }

  private static void drop(Entry entry, ParkLink holder, int own) {
    Linux.closeQuietly(entry.parked.fd());
    holder.say("drop " + own).addListener(said -> entry.dropped.complete(null));
  }

  /**
   * From now on connections are accepted from all listeners. They are parked before this agent
   * hears of them.
   */
  void accept(Consumer<Parked> accepted) {
    synchronized (this) {
      acceptor = accepted;
      link.say("accept");
    }
  }

  /** Drops all sockets and ends the parker. */
  void quit() {
    ParkLink last;
    synchronized (this) {
      if (over) {
        return;
      }
      over = true;
      last = link;
    }
    last.say("quit");
    last.awaitEnd();
    letGo();
    try {
      Files.deleteIfExists(path);
    } catch (IOException e) {
      LOG.warn("cannot remove {}: {}", path, e.toString());
    }
  }

  /** Lets this agent's part go; the parker holds on to its own. */
  @Override
  public void close() {
    disconnect();
    letGo();
  }

  /** Leaves the parker alone from now on; the sockets stay here, too. */
  synchronized void disconnect() {
    over = true;
    if (link != null) {
      link.close();
    }
  }

  private synchronized void letGo() {
    entries.values().forEach(entry -> Linux.closeQuietly(entry.parked.fd()));
    entries.clear();
  }

  /** What the parker says, on the link's event loop. */
  private final class Talk implements ParkLink.Listener {
    private final List<String[]> list = new ArrayList<>();

    @Override
    public void said(ParkLink from, String[] words) {
      switch (words[0]) {
        case "held" -> held(from, words[1], Integer.parseInt(words[2]));
        case "refused" -> refused(words[1], String.join(" ", words));
        case "accepted" -> accepted(from, words);
        case "socket", "listener" -> list.add(words);
        case "end" -> listed(from, list);
        case "accepting", "dropped", "bye" -> {}
        default -> LOG.error("{}: the parker says: {}", path, String.join(" ", words));
      }
    }

    @Override
    public void ended(ParkLink from) {
      synchronized (Park.this) {
        if (over || from != link) {
          return;
        }
      }
      // Not on the event loop: starting a process takes its time.
      Thread thread = new Thread(Park.this::again, "park");
      thread.setDaemon(true);
      thread.start();
    }
  }

  private void held(ParkLink from, String name, int own) {
    Entry entry;
    boolean drop;
    synchronized (this) {
      entry = from == link ? offered.remove(name) : null;
      if (entry == null) {
        return;
      }
      entry.own = own;
      drop = entry.dropped != null;
      tellRefilled();
    }
    if (drop) {
      drop(entry, from, own);
    } else {
      entry.held.complete(null);
    }
  }

  private synchronized void tellRefilled() {
    if (refilling && offered.isEmpty()) {
      refilling = false;
      LOG.info("{}: the new parker has all {} sockets", path, entries.size());
    }
  }

  private void refused(String name, String reason) {
    Entry entry;
    synchronized (this) {
      entry = offered.get(name);
    }
    LOG.error("{}: {} cannot be parked: {}", path, name, reason);
    if (entry != null) {
      entry.held.completeExceptionally(new IOException(name + " cannot be parked: " + reason));
    }
  }

  private void accepted(ParkLink from, String[] words) {
    Parked parked;
    Consumer<Parked> told;
    synchronized (this) {
      if (over || from != link) {
        return;
      }
      parked = takeBack(from, Integer.parseInt(words[1]), words[2], "accepted " + words[3], false);
      told = acceptor;
    }
    if (parked != null) {
      told.accept(parked);
    }
  }

  private Parked takeBack(ParkLink from, int own, String name, String note, boolean listening) {
    try {
      int pidfd = Linux.pidfdOpen(from.pid());
      try {
        Entry entry = new Entry(new Parked(name, Linux.pidfdGetFd(pidfd, own), listening, note));
        entry.own = own;
        entry.held.complete(null);
        entries.put(name, entry);
        return entry.parked;
      } finally {
        Linux.close(pidfd);
      }
    } catch (IOException e) {
      LOG.warn("{}: connection {} is lost with its parker: {}", path, name, e.getMessage());
      return null;
    }
  }

  private void listed(ParkLink from, List<String[]> list) {
    CompletableFuture<Void> waiting;
    synchronized (this) {
      for (String[] words : list) {
        String note = String.join(" ", Arrays.asList(words).subList(3, words.length));
        takeBack(from, Integer.parseInt(words[1]), words[2], note, words[0].equals("listener"));
      }
      waiting = listed;
    }
    waiting.complete(null);
  }

  /** The parker has been killed: another one gets all that this agent has. */
  private void again() {
    LOG.warn("the parker of {} was killed: another one takes its place", path);
    while (true) {
      try {
        ParkLink.start(shim, path);
        if (adopt(ParkLink.connect(path, loops, new Talk()))) {
          return;
        }
      } catch (IOException e) {
        LOG.error("{}: nothing is parked, trying again: {}", path, e.getMessage());
      }
      try {
        Thread.sleep(RETRY_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
  }

  /** False where the new parker has been killed as well. */
  private boolean adopt(ParkLink next) {
    List<Entry> forgotten;
    CompletableFuture<Void> waiting;
    synchronized (this) {
      if (over) {
        next.say("quit");
        return true;
      }
      link = next;
      forgotten = offered.values().stream().filter(entry -> entry.dropped != null).toList();
      offered.clear();
      entries.values().forEach(this::offer);
      if (acceptor != null) {
        next.say("accept");
      }
      waiting = listed;
      refilling = true;
      tellRefilled();
    }
    forgotten.forEach(
        entry -> {
          Linux.closeQuietly(entry.parked.fd());
          entry.dropped.complete(null);
        });
    if (waiting != null) {
      waiting.complete(null);
    }
    return next.isOpen();
  }
}
