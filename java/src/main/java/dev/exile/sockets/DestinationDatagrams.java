package dev.exile.sockets;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.SocketAddressBytes;
import dev.exile.linux.Udp;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.unix.FileDescriptor;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * The destination's half of what becomes of UDP sockets. The restored ones are bound to a TUN
 * device of the migration's own ({@link TunDevice}), and have home's addresses: what they send
 * comes out of the device as IP packets, which go to home; what comes from there is put into it,
 * and the kernel delivers it as from the network. Thread-safe.
 */
// A session that cannot leave is one whose loop is being shut down.
@SuppressWarnings("FutureReturnValueIgnored")
public final class DestinationDatagrams {
  /** Of UDP it takes no time at all. */
  private static final int CONNECT_MILLIS = 1_000;

  /** With both agents alive it takes milliseconds. */
  private static final long FINISH_SECONDS = 5;

  /** By then what has waited at home in exile has come here. */
  private static final long ROOM_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final String migration;
  private final ExileRoom room;
  private long begunNanos;
  private TunDevice device;
  private boolean closing;
  private volatile Set<Integer> ports = Set.of();
  private DeviceSession session;

  /** Done once no session but the latest touches the device. */
  private CompletableFuture<Void> left = CompletableFuture.completedFuture(null);

  /** Nothing is there before {@link #create} or {@link #open}. */
  public DestinationDatagrams(String migration) {
    this.migration = migration;
    room = new ExileRoom(migration);
  }

  /**
   * A restored socket that is to be given its addresses.
   *
   * @param pid a process that has it and has not been resumed, as this host numbers it
   * @param fd its descriptor there
   * @param local its own address
   * @param peer that it is connected to, or null
   */
  public record Lost(int pid, int fd, InetSocketAddress local, InetSocketAddress peer) {}

  /** Whether the kernel has chosen the source of a packet, not the process by itself. */
  static boolean isUnchosen(InetAddress source) {
    return source.equals(TunDevice.OWN4) || source.equals(TunDevice.OWN6);
  }

  /**
   * Makes the device, which is gone with this agent until {@link #keep}.
   *
   * @param diverted local ports of the sockets that are to be diverted
   * @return its name
   */
  public synchronized String create(Set<Integer> diverted) throws IOException {
    ports = Set.copyOf(diverted);
    device = TunDevice.create();
    return device.name();
  }

  /** Has the device outlive this agent, and sets it up. */
  public synchronized void keep() throws IOException {
    device.keep();
  }

  /** Takes up the device that a former agent has made; false where there is none of that name. */
  public synchronized boolean open(String name, Set<Integer> diverted) throws IOException {
    ports = Set.copyOf(diverted);
    if (!TunDevice.exists(name)) {
      return false;
    }
    device = TunDevice.open(name);
    return true;
  }

  /** Gives a restored socket its addresses, and diverts what passes through it. */
  public void divert(Lost lost) throws IOException {
    room.give(lost.pid(), lost.fd());
    int pidfd = Linux.pidfdOpen(lost.pid());
    try {
      int socket = Linux.pidfdGetFd(pidfd, lost.fd());
      try {
        divert(socket, lost);
      } finally {
        Linux.close(socket);
      }
    } finally {
      Linux.close(pidfd);
    }
  }

  private void divert(int socket, Lost lost) throws IOException {
    int family = Inet.domain(socket);
    Udp.setTransparent(socket);
    Udp.bindToDevice(socket, device.name());
    // At home the real socket has that address: HomeDatagrams lets it be shared for so long.
    boolean shared = Udp.shareAddress(socket, true);
    try {
      Udp.bind(socket, address(family, lost.local()));
    } finally {
      Udp.shareAddress(socket, shared);
    }
    if (lost.peer() != null) {
      Inet.connect(socket, address(family, lost.peer()), CONNECT_MILLIS);
    }
  }

  private static SocketAddressBytes address(int family, InetSocketAddress address) {
    return SocketAddressBytes.of(family, address.getAddress(), address.getPort());
  }

  /**
   * Home has opened a stream for all datagrams; on its event loop, which does not wait.
   *
   * @return false where there is no device, or no more: nothing has been done then
   */
  synchronized boolean join(Http2StreamChannel stream) {
    if (device == null || closing) {
      return false;
    }
    if (begunNanos == 0) {
      begunNanos = System.nanoTime();
    }
    DeviceSession next = new DeviceSession(migration, stream, device.fd(), ports, this::lost);
    next.beginAfter(leave());
    session = next;
    return true;
  }

  private synchronized void lost(DeviceSession last) {
    if (session == last) {
      session = null;
    }
  }

  /** Ends the session; done once none touches the device any more. Under our lock. */
  private CompletableFuture<Void> leave() {
    if (session != null) {
      left = CompletableFuture.allOf(left, session.leave());
      session = null;
    }
    return left;
  }

  // ---- It moves on. ----

  /**
   * Bound UDP sockets that are not the migration's: they would not be at the next host. What comes
   * and goes meanwhile is seen once only, and does not count.
   *
   * @param pids the running process's, as this host numbers them
   * @param device the migration's; empty for none
   */
  public static List<TakenDatagrams> strangers(List<Integer> pids, String device)
      throws IOException, InterruptedException {
    return Lasting.of(() -> strangersNow(pids, device), TakenDatagrams::key);
  }

  private static List<TakenDatagrams> strangersNow(List<Integer> pids, String device)
      throws IOException {
    try (TakenSockets taken = TakenSockets.take(pids)) {
      return taken.datagrams().stream().filter(socket -> !socket.isOf(device)).toList();
    }
  }

  /**
   * The process stands still and is about to go elsewhere: what it has sent goes home, and what
   * home had for it is in its sockets' queues. Home has paused.
   *
   * @throws IOException where home is not there to take it, or not in time
   */
  public void halt() throws IOException {
    DeviceSession finishing;
    synchronized (this) {
      if (device == null) {
        return;
      }
      finishing = session;
    }
    if (finishing == null) {
      throw new IOException("its datagrams do not get home at the moment; try again");
    }
    try {
      finishing.finish().get(FINISH_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new IOException("its last datagrams did not get home: " + e.getCause(), e);
    } catch (TimeoutException e) {
      throw new IOException("its last datagrams did not get home in time; try again", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while its last datagrams went home", e);
    }
    room.takeBack();
  }

  /**
   * After {@link #halt} and CRIU's dump: what waits in the process's sockets is put beside the
   * images.
   *
   * @return how many datagrams
   */
  public int save(Path images, List<TakenDatagrams> sockets) throws IOException {
    return sockets.isEmpty()
        ? 0
        : WaitingDatagrams.save(images.resolve(WaitingDatagrams.IMAGE), sockets);
  }

  /** At the next host, before the process is resumed: the same is put into its sockets there. */
  public void fill(Path images) throws IOException {
    Path image = images.resolve(WaitingDatagrams.IMAGE);
    if (!Files.exists(image)) {
      return;
    }
    FileDescriptor tun = new FileDescriptor(device.fd());
    ByteBuf packets = Unpooled.wrappedBuffer(Files.readAllBytes(image));
    while (packets.readableBytes() >= UdpPacket.LENGTH_BYTES) {
      int length = UdpPacket.length(packets);
      if (length < 0 || length > packets.readableBytes()) {
        throw new IOException("the image of its datagrams is damaged");
      }
      DeviceSession.put(migration, tun, ports, packets.readSlice(length));
    }
  }

  /** Should it stay after all, these sockets get at once what has come at home meanwhile. */
  public void makeRoom(List<TakenDatagrams> sockets) throws IOException {
    for (TakenDatagrams socket : sockets) {
      room.give(socket.pid(), socket.fd());
    }
  }

  /** It stays: home is to go on. */
  public synchronized void goOn() {
    begunNanos = 0; // until home has joined again, and a little longer
    if (session != null) {
      session.leaveIfHeard();
    }
  }

  /** To be called now and then while the process runs. */
  public synchronized void watch() {
    if (begunNanos != 0 && System.nanoTime() - begunNanos > ROOM_NANOS) {
      room.takeBack();
    }
  }

  /**
   * Ends it and removes the device, which is gone even where this fails. May be called again; by
   * the next agent after {@link #open}. Not on an event loop.
   */
  public void close() throws IOException {
    CompletableFuture<Void> untouched;
    TunDevice removed;
    synchronized (this) {
      closing = true;
      untouched = leave();
      removed = device;
    }
    room.close();
    untouched.join();
    if (removed != null) {
      synchronized (this) {
        device = null;
      }
      removed.remove();
    }
  }
}
