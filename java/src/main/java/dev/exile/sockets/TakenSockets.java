package dev.exile.sockets;

import dev.exile.linux.Errno;
import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.Netlink;
import dev.exile.linux.SocketAddressBytes;
import dev.exile.linux.Udp;
import dev.exile.process.Proc;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Duplicates of all TCP sockets and bound UDP sockets of a process tree, each taken once however
 * many descriptors and processes share it (pidfd_getfd(2)). While they are held the kernel goes on
 * acknowledging data into the sockets and completing connections into their backlogs.
 */
public final class TakenSockets implements AutoCloseable {
  private static final Pattern PASSING = Pattern.compile("(?m)^scm_fds:\\s*[1-9]");

  private final List<TakenSocket> sockets;
  private final List<TakenDatagrams> datagrams = new ArrayList<>();
  private final List<OtherSocket> others;
  private boolean handedOver;
  private boolean datagramsHandedOver;

  private TakenSockets(List<TakenSocket> sockets, List<OtherSocket> others) {
    this.sockets = sockets;
    this.others = others;
  }

  /**
   * A socket that is neither TCP nor UDP.
   *
   * @param pid a process that holds it
   * @param fd its descriptor there
   * @param domain AF_ number
   * @param type SOCK_ number
   * @param protocol as its domain numbers it
   * @param inode names the socket, an unsigned number
   * @param passing whether descriptors wait in it to be received (SCM_RIGHTS), which may be sockets
   *     that nobody can take
   * @param idle whether it is a netlink socket that may as well be a new one
   */
  public record OtherSocket(
      int pid,
      int fd,
      int domain,
      int type,
      int protocol,
      int inode,
      boolean passing,
      boolean idle) {
    /** Whether it is a netlink socket that would lose something. */
    public boolean busyNetlink() {
      return domain == Netlink.AF_NETLINK && !idle;
    }

    /** Whether it speaks to other hosts: raw and the like. */
    public boolean internet() {
      return domain == SocketAddressBytes.AF_INET || domain == SocketAddressBytes.AF_INET6;
    }
  }

  /**
   * Takes all sockets of the given processes. Frozen, they cannot change meanwhile; running, a
   * socket that is closed meanwhile is left out.
   */
  public static TakenSockets take(List<Integer> pids) throws IOException {
    TakenSockets taken = new TakenSockets(new ArrayList<>(), new ArrayList<>());
    Set<String> seen = new HashSet<>();
    try {
      for (int pid : pids) {
        taken.takeFrom(pid, seen);
      }
    } catch (IOException | RuntimeException e) {
      taken.close();
      throw e;
    }
    return taken;
  }

  private void takeFrom(int pid, Set<String> seen) throws IOException {
    int pidfd;
    try {
      pidfd = Linux.pidfdOpen(pid);
    } catch (Errno e) {
      if (e.number() == Errno.ESRCH) {
        return; // ended since it was found: only a running process can do that
      }
      throw e;
    }
    try {
      for (Map.Entry<Integer, String> descriptor : Proc.descriptors(pid).entrySet()) {
        String target = descriptor.getValue();
        if (target.startsWith("socket:") && seen.add(target)) {
          takeOne(pidfd, pid, descriptor.getKey(), inode(target));
        }
      }
    } finally {
      Linux.close(pidfd);
    }
  }

  /** An unsigned number: it names the socket as long as anybody holds it. */
  private static int inode(String target) {
    return (int) Long.parseLong(target.substring("socket:[".length(), target.length() - 1));
  }

  private void takeOne(int pidfd, int pid, int fd, int inode) throws IOException {
    int duplicate;
    try {
      duplicate = Linux.pidfdGetFd(pidfd, fd);
    } catch (Errno e) {
      if (e.number() == Errno.EBADF) {
        return; // closed since the listing: only a running process can do that
      }
      throw e;
    }
    boolean kept = false;
    try {
      kept = keep(pid, fd, inode, duplicate);
    } finally {
      if (!kept) {
        Linux.close(duplicate);
      }
    }
  }

  private boolean keep(int pid, int fd, int inode, int duplicate) throws IOException {
    int key = inode & Integer.MAX_VALUE;
    int domain = Inet.domain(duplicate);
    int type = Inet.type(duplicate);
    int protocol = Inet.protocol(duplicate);
    boolean internet =
        domain == SocketAddressBytes.AF_INET || domain == SocketAddressBytes.AF_INET6;
    if (internet && protocol == Udp.IPPROTO_UDP && type == Udp.SOCK_DGRAM) {
      return keepDatagrams(pid, fd, key, duplicate, domain);
    }
    if (!internet || protocol != Inet.IPPROTO_TCP) {
      boolean idle = domain == Netlink.AF_NETLINK && Netlink.isIdle(duplicate);
      others.add(new OtherSocket(pid, fd, domain, type, protocol, inode, passing(pid, fd), idle));
      return false;
    }
    TcpState state = TcpState.of(Inet.tcpState(duplicate));
    boolean broken = state == TcpState.CLOSE && Inet.hasError(duplicate);
    boolean unread = state == TcpState.CLOSE && Inet.unread(duplicate) > 0;
    if (state != TcpState.LISTEN && !state.connected() && !broken && !unread) {
      return false; // CRIU restores what has no peer, and nothing to tell of a former one
    }
    boolean ipv6 = domain == SocketAddressBytes.AF_INET6;
    SocketAddressBytes local = Inet.localAddress(duplicate);
    SocketAddressBytes peer = state == TcpState.LISTEN ? null : peer(duplicate);
    boolean mapped = ipv6 && (peer != null ? peer.mapped() : !Inet.ipv6Only(duplicate));
    sockets.add(
        new TakenSocket(
            key,
            pid,
            fd,
            duplicate,
            state,
            ipv6,
            mapped,
            local.toInet(),
            peer == null ? null : peer.toInet(),
            broken));
    return true;
  }

  /** See proc_pid_fdinfo(5); kernels before 5.8 do not tell. */
  private static boolean passing(int pid, int fd) {
    return Proc.read(pid, "fdinfo/" + fd).filter(info -> PASSING.matcher(info).find()).isPresent();
  }

  private static SocketAddressBytes peer(int fd) throws IOException {
    SocketAddressBytes peer = Inet.peerAddress(fd);
    return peer == null ? Inet.formerPeerAddress(fd) : peer;
  }

  private boolean keepDatagrams(int pid, int fd, int key, int duplicate, int domain)
      throws IOException {
    InetSocketAddress local = Inet.localAddress(duplicate).toInet();
    if (local.getPort() == 0) {
      return false; // CRIU restores what has neither an address nor a peer
    }
    SocketAddressBytes peer = Inet.peerAddress(duplicate);
    datagrams.add(
        new TakenDatagrams(
            key,
            pid,
            fd,
            duplicate,
            domain == SocketAddressBytes.AF_INET6,
            local,
            peer == null ? null : peer.toInet(),
            Udp.device(duplicate)));
    return true;
  }

  /** The UDP sockets that are bound. */
  public List<TakenDatagrams> datagrams() {
    return List.copyOf(datagrams);
  }

  /** Gives the duplicates of the UDP sockets away: the caller owns them now. */
  public synchronized List<TakenDatagrams> handOverDatagrams() {
    List<TakenDatagrams> given = datagramsHandedOver ? List.of() : datagrams();
    datagramsHandedOver = true;
    return given;
  }

  /** All of them but for UDP, listeners too. */
  public List<TakenSocket> all() {
    return List.copyOf(sockets);
  }

  /** The listening ones. */
  public List<TakenSocket> listeners() {
    return sockets.stream().filter(TakenSocket::listening).toList();
  }

  /** Those with a peer. */
  public List<TakenSocket> connections() {
    return sockets.stream().filter(s -> !s.listening()).toList();
  }

  /** The sockets that are neither TCP nor UDP; of those nothing is held. */
  public List<OtherSocket> others() {
    return List.copyOf(others);
  }

  /** Gives the duplicates away: the caller owns them now. What is known of them stays known. */
  public synchronized List<TakenSocket> handOver() {
    List<TakenSocket> given = handedOver ? List.of() : all();
    handedOver = true;
    return given;
  }

  /**
   * Closes the duplicates, unless they were handed over, which touches neither the sockets nor the
   * process.
   */
  @Override
  public void close() throws IOException {
    for (TakenSocket socket : handOver()) {
      Linux.close(socket.duplicate());
    }
    for (TakenDatagrams socket : handOverDatagrams()) {
      Linux.close(socket.duplicate());
    }
  }
}
