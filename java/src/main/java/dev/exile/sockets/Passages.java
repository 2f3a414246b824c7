package dev.exile.sockets;

import com.google.protobuf.ByteString;
import dev.exile.linux.Errno;
import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.QueueView;
import dev.exile.linux.SocketAddressBytes;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What of a process's relayed connections is under way between the relay and the process, as the
 * process leaves a host that is not its home: in the relay's sockets and the process's, which are
 * joined over loopback. It travels beside CRIU's images, and is put into the new pair of sockets
 * before anything else moves through it. The process is frozen and the relay halted meanwhile.
 *
 * <p>The same of its streams: there the wire's near end stands for the process's socket, and what
 * is in the pipe behind it is under way as well.
 */
public final class Passages {
  /** The name of their file among the images. */
  public static final String IMAGE = "passages.img";

  private static final long SETTLE_NANOS = 5_000_000;
  private static final long END_NANOS = 1_000_000_000;
  private static final int LOOKS = 4;
  private static final int GIVE_MILLIS = 5_000;
  private static final int LARGE = 32 << 10;

  /** More is not read into this agent's memory at once. */
  private static final long MOST_BYTES = 128L << 20;

  private final List<Passage> passages = new ArrayList<>();
  private final Map<String, TakenSocket> holders = new LinkedHashMap<>();
  private final Map<String, Long> streams = new LinkedHashMap<>();
  private long bytes;

  /** What the relay's socket is joined to: the process's, or the near end of a stream's wire. */
  private record Near(int fd, boolean held, ByteString below, ByteString above) {
    static Near of(TakenSocket socket) {
      return new Near(socket.duplicate(), true, ByteString.EMPTY, ByteString.EMPTY);
    }

    static Near of(Wire wire) {
      return new Near(wire.fd(), wire.held(), wire.below(), wire.above());
    }
  }

  /** None. */
  public Passages() {}

  // ---- On the host that the process leaves. ----

  /**
   * Looks at all connections. Nothing is taken out of a socket.
   *
   * @param relay it has been halted
   * @param taken the sockets of the process, which stands frozen
   * @param wires those of its streams by name, unless they are over
   * @throws IOException where a connection is not the relay's, or cannot travel
   */
  public static Passages of(DestinationRelay relay, TakenSockets taken, Map<String, Wire> wires)
      throws IOException {
    Map<List<InetSocketAddress>, TakenSocket> sockets = new HashMap<>();
    for (TakenSocket socket : taken.connections()) {
      sockets.put(ends(socket), socket);
    }
    Passages all = new Passages();
    for (Park.Parked parked : relay.parked()) {
      all.look(parked, sockets, wires.get(parked.name()));
      if (all.bytes > MOST_BYTES) {
        throw new IOException(
            "more than %d MB are under way in the process's connections"
                .formatted(MOST_BYTES >> 20));
      }
    }
    for (TakenSocket socket : sockets.values()) {
      if (socket.state() == TcpState.CLOSE) {
        all.leftOver(socket);
        continue;
      }
      throw new IOException(
          "descriptor %d of process %d is connected to %s by this host itself"
              .formatted(socket.fd(), socket.pid(), socket.peer()));
    }
    for (TakenSocket listener : taken.listeners()) {
      if (Inet.backlog(listener.duplicate()) > 0) {
        throw new IOException(
            "the process has not accepted all connections to port " + listener.local().getPort());
      }
    }
    return all;
  }

  /**
   * Connections of the running process that are none of the relay's: they would break. What comes
   * and goes meanwhile is seen once only, and does not count.
   */
  public static List<TakenSocket> strangers(DestinationRelay relay, List<Integer> pids)
      throws IOException, InterruptedException {
    return Lasting.of(() -> strangersNow(relay, pids), TakenSocket::key);
  }

  private static List<TakenSocket> strangersNow(DestinationRelay relay, List<Integer> pids)
      throws IOException {
    Map<List<InetSocketAddress>, TakenSocket> sockets = new LinkedHashMap<>();
    try (TakenSockets taken = TakenSockets.take(pids)) {
      for (TakenSocket socket : taken.connections()) {
        if (socket.state() != TcpState.CLOSE) {
          sockets.put(ends(socket), socket);
        }
      }
    }
    for (Park.Parked parked : relay.parked()) {
      try {
        ends(parked.fd()).ifPresent(sockets::remove);
      } catch (Errno e) {
        if (e.number() != Errno.EBADF) {
          throw e;
        } // it has ended meanwhile
      }
    }
    return List.copyOf(sockets.values());
  }

  private static Optional<List<InetSocketAddress>> ends(int fd) throws IOException {
    SocketAddressBytes peer = Inet.peerAddress(fd);
    return peer == null
        ? Optional.empty()
        : Optional.of(List.of(Inet.localAddress(fd).toInet(), peer.toInet()));
  }

  /** As the relay's socket at its other end has them; nobody else's where there is none. */
  private static List<InetSocketAddress> ends(TakenSocket socket) {
    return socket.peer() == null
        ? List.of(socket.local(), new InetSocketAddress(socket.key() & 0xffff))
        : List.of(socket.peer(), socket.local());
  }

  /** Of a connection that is over for home: what the process has still to read of it. */
  private void leftOver(TakenSocket socket) throws IOException {
    String name = "left-" + socket.key();
    ByteString down = ByteString.copyFrom(QueueView.unread(socket.duplicate()));
    holders.put(name, socket);
    passages.add(
        new Passage(
            name, down.size(), !socket.broken(), 0, down, ByteString.EMPTY, true, socket.broken()));
  }

  private void look(
      Park.Parked parked, Map<List<InetSocketAddress>, TakenSocket> sockets, Wire wire)
      throws IOException {
    int relay = parked.fd();
    if (SocketProgress.of(relay).state() == TcpState.SYN_SENT) {
      return; // home will have it made anew
    }
    TakenSocket process = wire == null ? ends(relay).map(sockets::remove).orElse(null) : null;
    Near near = null;
    if (wire != null) {
      near = Near.of(wire);
    } else if (process != null) {
      near = Near.of(process);
    }
    settle(relay, near);
    SocketProgress progress = SocketProgress.of(relay);
    if (progress.broken() || progress.untouched()) {
      return; // home will reset it as it asks for it, or have it made anew
    }
    if (near == null && !progress.finReceived()) {
      throw new IOException(
          "connection %s was closed by the process, and its last bytes are still under way"
              .formatted(parked.name()));
    }
    Passage passage = passage(parked, progress, near);
    bytes += passage.down().size() + passage.up().size();
    passages.add(passage);
    if (process != null) {
      holders.put(parked.name(), process);
    } else if (passage.held()) {
      streams.put(parked.name(), passage.consumed() + passage.up().size());
    }
  }

  private static Passage passage(Park.Parked parked, SocketProgress progress, Near near)
      throws IOException {
    int relay = parked.fd();
    ParkNote note = ParkNote.parse(parked.note());
    ByteString down = ByteString.EMPTY;
    ByteString up;
    if (near != null) {
      up = underWay(near.fd(), relay).concat(near.above());
    } else {
      up = ByteString.copyFrom(QueueView.unread(relay));
    }
    boolean held = near != null && near.held();
    if (held) {
      down = near.below().concat(underWay(relay, near.fd()));
    }
    return new Passage(
        parked.name(),
        progress.written() - note.written(),
        progress.finSent(),
        progress.consumed() - note.consumed(),
        down,
        up,
        held,
        false);
  }

  /** Loopback delivers at once what the receiver has room for. */
  private static void settle(int relay, Near near) throws IOException {
    if (near == null) {
      QueueView.makeRoomToReceive(relay, LARGE);
    }
    long deadline = System.nanoTime() + (near == null ? END_NANOS : SETTLE_NANOS);
    while (System.nanoTime() < deadline && !settled(relay, near)) {
      Thread.onSpinWait();
    }
  }

  private static boolean settled(int relay, Near near) throws IOException {
    if (near == null) {
      SocketProgress progress = SocketProgress.of(relay);
      return progress.finReceived() || progress.broken() || progress.untouched();
    }
    return Inet.unacknowledged(relay) == 0 && Inet.unacknowledged(near.fd()) == 0;
  }

  /** What was written into a socket and not read from its peer, wherever it is meanwhile. */
  private static ByteString underWay(int from, int to) throws IOException {
    if (Inet.unacknowledged(from) == 0) {
      return ByteString.copyFrom(QueueView.unread(to)); // no more can arrive
    }
    for (int look = 0; look < LOOKS; look++) {
      long arrived = SocketProgress.of(to).unread();
      ByteString tail = tail(from, to);
      ByteString unread = ByteString.copyFrom(QueueView.unread(to));
      if (unread.size() == arrived) {
        return unread.concat(tail);
      } // sent once more just then, and there was room
    }
    throw new IOException("a connection does not stand still");
  }

  /** What was written into a socket and has not arrived at its peer, for want of room there. */
  private static ByteString tail(int from, int to) throws IOException {
    if (Inet.unacknowledged(from) == 0) {
      return ByteString.EMPTY;
    }
    SocketProgress sender = SocketProgress.of(from);
    try (QueueView sending = new QueueView(from);
        QueueView receiving = new QueueView(to)) {
      byte[] queue = sending.sending(); // first: what arrives since is still at its beginning
      boolean ended = SocketProgress.of(to).finReceived();
      int missing = sending.writtenTo() - receiving.receivedTo();
      if (ended != SocketProgress.of(to).finReceived()) {
        throw new IOException("a connection ends just as the process leaves");
      }
      int end = sender.finSent() && !ended ? 1 : 0;
      if (missing - end < 0 || missing - end > queue.length) {
        throw new IOException(
            "a connection cannot travel: %d bytes are missing of %d"
                .formatted(missing - end, queue.length));
      }
      return ByteString.copyFrom(queue, queue.length - (missing - end), missing - end);
    }
  }

  /** The process's sockets, by the name of their connection. */
  public Map<String, TakenSocket> holders() {
    return Map.copyOf(holders);
  }

  /** How many bytes the process has written so far into each stream that it holds, by name. */
  public Map<String, Long> streams() {
    return Map.copyOf(streams);
  }

  /** Names of connections that the process has closed, and which have not ended yet. */
  public List<String> closed() {
    return passages.stream().filter(one -> !one.held()).map(Passage::name).toList();
  }

  /** How many bytes are under way. */
  public long bytes() {
    return bytes;
  }

  /** Writes them beside the images. */
  public void save(Path images) throws IOException {
    try (DataOutputStream out =
        new DataOutputStream(
            new BufferedOutputStream(Files.newOutputStream(images.resolve(IMAGE))))) {
      out.writeInt(passages.size());
      for (Passage passage : passages) {
        passage.write(out);
      }
    }
  }

  // ---- On the host that it reaches. ----

  /** Reads what {@link #save} has written. */
  public static Passages load(Path images) throws IOException {
    Passages all = new Passages();
    try (DataInputStream in =
        new DataInputStream(new BufferedInputStream(Files.newInputStream(images.resolve(IMAGE))))) {
      for (int left = in.readInt(); left > 0; left--) {
        all.passages.add(Passage.read(in));
      }
    }
    return all;
  }

  Map<String, Passage> byName() {
    Map<String, Passage> named = new HashMap<>();
    passages.forEach(one -> named.put(one.name(), one));
    return named;
  }

  /** Where the process's end of a connection is. */
  @FunctionalInterface
  public interface Ends {
    /** A descriptor of it, to be closed by the caller. */
    int open(String name) throws IOException;
  }

  /**
   * Puts what was under way into the new pairs of sockets. The relay has all connections and does
   * not move anything yet.
   *
   * @param shut names of connections in which the process had ended its direction
   */
  public void give(DestinationRelay relay, Ends ends, Set<String> shut) throws IOException {
    for (Passage passage : passages) {
      int far = relay.descriptor(passage.name());
      int near = ends.open(passage.name());
      try {
        int toSend = QueueView.roomToSend(far);
        int toReceive = QueueView.roomToReceive(far);
        if (passage.down().size() > LARGE) {
          QueueView.makeRoomToSend(far, passage.down().size());
        }
        if (passage.up().size() > LARGE) {
          QueueView.makeRoomToReceive(far, passage.up().size());
        }
        QueueView.write(far, passage.down().toByteArray(), GIVE_MILLIS);
        QueueView.write(near, passage.up().toByteArray(), GIVE_MILLIS);
        if (passage.down().size() > LARGE) {
          QueueView.endRoomToSend(far, toSend);
        }
        if (passage.up().size() > LARGE) {
          QueueView.endRoomToReceive(far, toReceive);
        }
        if (passage.shut()) {
          Inet.shutdown(far, Inet.SHUT_WR);
        }
        if (shut.contains(passage.name()) || !passage.held()) {
          Inet.shutdown(near, Inet.SHUT_WR);
        }
        if (passage.reset()) {
          Inet.disconnect(far);
        }
      } finally {
        Linux.closeQuietly(near);
      }
    }
  }
}
