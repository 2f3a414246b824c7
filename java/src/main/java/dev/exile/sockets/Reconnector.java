package dev.exile.sockets;

import dev.exile.linux.Inet;
import dev.exile.linux.Linux;
import dev.exile.linux.SocketAddressBytes;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.BiConsumer;

/**
 * Gives a restored process its connections back. CRIU has left each as a closed socket; here the
 * very same kernel object is connected to the relay, so that the process's own descriptor, its
 * epoll sets and its blocked calls just work.
 */
public final class Reconnector {
  private static final int CONNECT_MILLIS = 5_000;
  private static final int MOST_THREADS = 4;

  /** Fewer are not worth another thread. */
  private static final int PER_THREAD = 100;

  private Reconnector() {}

  /**
   * A socket that is to be connected.
   *
   * @param name names it within the migration
   * @param pid a process that has it and has not been resumed, as this host numbers it
   * @param fd its descriptor there
   * @param shutWrite whether the process had already ended its own direction
   * @param relay where the relay listens
   */
  public record Lost(String name, int pid, int fd, boolean shutWrite, InetSocketAddress relay) {}

  /**
   * Connects them all, some at a time.
   *
   * @param connected is told the name and the own address of each, by which the relay knows whose
   *     connection it got; by several threads
   * @throws IOException where one cannot be connected; others may be by then
   */
  public static void reconnect(List<Lost> sockets, BiConsumer<String, InetSocketAddress> connected)
      throws IOException, InterruptedException {
    Map<Integer, Integer> pidfds = new HashMap<>();
    int threads = Math.max(1, Math.min(MOST_THREADS, sockets.size() / PER_THREAD));
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      for (Lost socket : sockets) {
        if (!pidfds.containsKey(socket.pid())) {
          pidfds.put(socket.pid(), Linux.pidfdOpen(socket.pid()));
        }
      }
      List<Future<?>> parts = new ArrayList<>();
      int each = (sockets.size() + threads - 1) / threads;
      for (int from = 0; from < sockets.size(); from += each) {
        List<Lost> part = sockets.subList(from, Math.min(sockets.size(), from + each));
        parts.add(
            pool.submit(
                () -> {
                  for (Lost one : part) {
                    connected.accept(one.name(), reconnect(pidfds.get(one.pid()), one));
                  }
                  return null;
                }));
      }
      for (Future<?> part : parts) {
        part.get();
      }
    } catch (ExecutionException e) {
      throw new IOException(e.getCause().getMessage(), e);
    } finally {
      pool.shutdownNow();
      pidfds.values().forEach(Linux::closeQuietly);
    }
  }

  private static InetSocketAddress reconnect(int pidfd, Lost lost) throws IOException {
    int socket = Linux.pidfdGetFd(pidfd, lost.fd());
    try {
      Inet.disconnect(socket);
      InetSocketAddress relay = lost.relay();
      Inet.connect(
          socket,
          SocketAddressBytes.of(Inet.domain(socket), relay.getAddress(), relay.getPort()),
          CONNECT_MILLIS);
      if (lost.shutWrite()) {
        Inet.shutdown(socket, Inet.SHUT_WR);
      }
      return Inet.localAddress(socket).toInet();
    } finally {
      Linux.close(socket);
    }
  }
}
