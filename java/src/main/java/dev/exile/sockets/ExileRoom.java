package dev.exile.sockets;

import dev.exile.linux.Errno;
import dev.exile.linux.Linux;
import dev.exile.linux.Udp;
import java.io.Closeable;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * More room for datagrams while nobody reads them, at home, and for when they come all at once, at
 * the destination. What a UDP socket usually has room for is a few hundred datagrams, which a busy
 * one gets in less time than a move takes; the kernel drops the rest. Thread-safe.
 */
public final class ExileRoom implements Closeable {
  private static final Logger log = LoggerFactory.getLogger(ExileRoom.class);

  /** As the kernel counts, for each socket: about 20,000 small datagrams. */
  private static final int BYTES = 16 << 20;

  private final String migration;
  private final List<Given> given = new ArrayList<>();

  private record Given(int fd, int before) {}

  /**
   * @param migration its id, for the log
   */
  public ExileRoom(String migration) {
    this.migration = migration;
  }

  /**
   * Gives it to a socket, unless that has as much.
   *
   * @param pid a process that holds it and does not run, as this host numbers it
   * @param socket its descriptor there
   */
  public synchronized void give(int pid, int socket) throws Errno {
    int pidfd = Linux.pidfdOpen(pid);
    try {
      int fd = Linux.pidfdGetFd(pidfd, socket);
      int before = Udp.room(fd);
      given.add(new Given(fd, before));
      Udp.setRoom(fd, Math.max(BYTES, before));
    } finally {
      Linux.closeQuietly(pidfd);
    }
  }

  /**
   * The sockets have the room that they had. What waits in more of it stays. May be called again.
   */
  public synchronized void takeBack() {
    for (Given one : given) {
      try {
        Udp.setRoom(one.fd(), one.before());
      } catch (Errno e) {
        log.warn("{}: a UDP socket keeps too large a buffer: {}", migration, e.getMessage());
      }
    }
    close();
  }

  /** They keep it. */
  @Override
  public synchronized void close() {
    given.forEach(one -> Linux.closeQuietly(one.fd()));
    given.clear();
  }
}
