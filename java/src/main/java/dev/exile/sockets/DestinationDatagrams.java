package dev.exile.sockets;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.SocketAddressBytes;
import dev.exile.linux.Udp;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.unix.FileDescriptor;
import io.netty.handler.codec.http2.Http2StreamChannel;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The destination's half of what becomes of UDP sockets. The restored ones are bound to a TUN
 * device of the migration's own ({@link TunDevice}), and have home's addresses: what they send
 * comes out of the device as IP packets, which go to home; what comes from there is put into it,
 * and the kernel delivers it as from the network. Thread-safe.
 */
// A session that cannot begin is one whose loop is being shut down.
@SuppressWarnings("FutureReturnValueIgnored")
public final class DestinationDatagrams {
  private static final Logger log = LoggerFactory.getLogger(DestinationDatagrams.class);

  /** Of UDP it takes no time at all. */
  private static final int CONNECT_MILLIS = 1_000;

  private static final int READS_PER_TURN = 64;

  /** By then what has waited at home in exile has come here. */
  private static final long ROOM_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final String migration;
  private final ExileRoom room;
  private long begunNanos;
  private TunDevice device;
  private boolean closing;
  private volatile Set<Integer> ports = Set.of();
  private Session session;

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
    Udp.bind(socket, address(family, lost.local()));
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
    Session next = new Session(stream, device.fd());
    leave().thenRunAsync(next::begin, next.stream.loop());
    session = next;
    return true;
  }

  /** Ends the session; done once none touches the device any more. Under our lock. */
  private CompletableFuture<Void> leave() {
    if (session != null) {
      left = CompletableFuture.allOf(left, session.leave());
      session = null;
    }
    return left;
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

  /** What passes over one stream, on its event loop. */
  private final class Session implements PacketStream.End {
    private final PacketStream stream;
    private final FileDescriptor tun;
    private final ReadyHandle handle;
    private boolean readable;
    private boolean over;

    Session(Http2StreamChannel channel, int fd) {
      stream = new PacketStream(channel, this);
      channel.pipeline().addLast(stream);
      tun = new FileDescriptor(fd);
      handle = new ReadyHandle(fd, this::ready);
    }

    void begin() {
      if (!over) {
        handle.watch(stream.loop());
      }
    }

    /** Done once it does not touch the device any more. */
    CompletableFuture<Void> leave() {
      return CompletableFuture.runAsync(
          () -> {
            detach();
            stream.close();
          },
          stream.loop());
    }

    private void detach() {
      if (!over) {
        over = true;
        handle.detach();
      }
    }

    private void ready() {
      readable = true;
      writable();
    }

    @Override
    public void writable() {
      try {
        read();
      } catch (IOException e) {
        log.error("{}: datagrams of the process are not forwarded", migration, e);
        readable = false;
      }
      stream.flush();
    }

    private void read() throws IOException {
      for (int turn = 0; readable && !over && stream.isWritable(); turn++) {
        if (turn == READS_PER_TURN) {
          stream.loop().execute(this::writable);
          return;
        }
        ByteBuf packet = PooledByteBufAllocator.DEFAULT.directBuffer(UdpPacket.MAX_BYTES);
        try {
          int got = tun.readAddress(packet.memoryAddress(), 0, UdpPacket.MAX_BYTES);
          if (got <= 0) {
            readable = false;
          } else {
            forward(packet.writerIndex(got));
          }
        } finally {
          packet.release();
        }
      }
    }

    /**
     * The kernel says other things by a device, too, such as that it has no more use for a port.
     */
    private void forward(ByteBuf packet) {
      if (UdpPacket.of(packet).isPresent()) {
        int length = packet.readableBytes();
        stream.write(packet.alloc().directBuffer(length, length).writeBytes(packet));
      }
    }

    /** Nothing but datagrams for the process is let into this host's kernel. */
    @Override
    public void packet(ByteBuf packet) {
      if (over || !isForProcess(packet)) {
        return;
      }
      ByteBuf direct = UdpPacket.inOnePiece(packet);
      try {
        tun.writeAddress(direct.memoryAddress(), direct.readerIndex(), direct.writerIndex());
      } catch (IOException e) {
        log.warn("{}: a datagram does not reach the process: {}", migration, e.getMessage());
      } finally {
        direct.release();
      }
    }

    private boolean isForProcess(ByteBuf packet) {
      return UdpPacket.of(packet)
          .filter(datagram -> ports.contains(datagram.destination().getPort()))
          .isPresent();
    }

    @Override
    public void lost() {
      detach();
      synchronized (DestinationDatagrams.this) {
        if (session == this) {
          session = null;
        }
      }
    }
  }
}
