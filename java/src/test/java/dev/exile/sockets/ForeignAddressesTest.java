package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.linux.Errno;
import dev.exile.linux.ForeignTcp;
import dev.exile.linux.Inet;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Sockets with addresses that no host here has, in a network of their own. */
@EnabledIf(value = "isRoot", disabledReason = "making a network namespace needs root")
@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ForeignAddressesTest {
  private static final String SYSCTLS =
      "sysctl -n net.ipv4.tcp_fwmark_accept net.ipv4.ip_nonlocal_bind net.ipv6.ip_nonlocal_bind";

  @TempDir Path run;

  static boolean isRoot() {
    return OwnNetwork.available();
  }

  /**
   * The first socket is of IPv6 where the third column says so: with IPv4's addresses v4-mapped.
   */
  @ParameterizedTest
  @CsvSource({
    "198.51.100.1, 203.0.113.9, false",
    "198.51.100.1, 203.0.113.9, true",
    "2001:db8::1, 2001:db8:ffff::9, true",
    "127.0.0.1, 127.0.0.1, false"
  })
  void bytesGoBothWaysBetweenAddressesOfOthers(String home, String client, boolean six)
      throws Exception {
    OwnNetwork.run(
        () -> {
          ForeignRoutes routes = made();
          InetSocketAddress ours = new InetSocketAddress(home, 443);
          InetSocketAddress theirs = new InetSocketAddress(client, 40_000);
          assertTrue(routes.allow(ours, theirs));
          try (Ends ends = joined(ours, theirs, six)) {
            assertEquals(ours, Inet.localAddress(ends.first()).toInet());
            assertEquals(theirs, Inet.peerAddress(ends.first()).toInet());
            assertEquals(theirs, Inet.localAddress(ends.second()).toInet());
            assertEquals(ours, Inet.peerAddress(ends.second()).toInet());
            assertEquals(0, SocketProgress.of(ends.second()).written());
            assertEquals(0, SocketProgress.of(ends.second()).consumed());
            exchange(new Socket(ends.first()), new Socket(ends.second()));
            exchange(new Socket(ends.second()), new Socket(ends.first()));
            assertEquals(0, SocketProgress.of(ends.first()).unread());
            Inet.shutdown(ends.first(), Inet.SHUT_WR);
            awaitEnd(new Socket(ends.second()));
          }
          return null;
        });
  }

  @Test
  void aListenerAcceptsClientsFromElsewhereAtHomesOwnAddress() throws Exception {
    OwnNetwork.run(
        () -> {
          made();
          InetSocketAddress ours = new InetSocketAddress("198.51.100.1", 80);
          InetSocketAddress theirs = new InetSocketAddress("203.0.113.9", 80);
          Socket listener = LinuxSocket.newSocketStream(false);
          Socket client = LinuxSocket.newSocketStream(false);
          listener.bind(ours); // as CRIU would
          listener.listen(16);
          ForeignTcp.admit(listener.intValue());
          ForeignTcp.bind(client.intValue(), theirs);
          client.connect(ours);
          int accepted = accept(listener);
          assertEquals(ours, Inet.localAddress(accepted).toInet());
          assertEquals(theirs, Inet.peerAddress(accepted).toInet());
          exchange(client, new Socket(accepted));
          exchange(new Socket(accepted), client);
          for (int fd : new int[] {listener.intValue(), client.intValue(), accepted}) {
            new Socket(fd).close();
          }
          return null;
        });
  }

  @Test
  void aConnectInProgressIsDoneThoughThisHostListensOnThatPort() throws Exception {
    OwnNetwork.run(
        () -> {
          ForeignRoutes routes = made();
          InetSocketAddress ours = new InetSocketAddress("198.51.100.1", 5000);
          InetSocketAddress theirs = new InetSocketAddress("203.0.113.9", 80);
          Socket listener = LinuxSocket.newSocketStream(false);
          listener.bind(new InetSocketAddress("0.0.0.0", theirs.getPort()));
          listener.listen(16);
          Socket process = LinuxSocket.newSocketStream(false);
          Reconnector.Place place =
              new Reconnector.Place((int) ProcessHandle.current().pid(), process.intValue());
          List<Integer> ends = new ArrayList<>();
          new Reconnector("test", routes)
              .reconnect(
                  List.of(new Reconnector.Lost("1", place, true, false, ours, theirs)),
                  (name, fd) -> ends.add(fd));
          assertEquals(ours, Inet.localAddress(process.intValue()).toInet());
          InetSocketAddress peer = Inet.peerAddress(process.intValue()).toInet();
          assertEquals(theirs.getAddress(), peer.getAddress());
          Socket end = new Socket(ends.get(0));
          exchange(process, end);
          for (Socket socket : List.of(listener, process, end)) {
            socket.close();
          }
          return null;
        });
  }

  @Test
  void aSocketWithoutAddressesGetsThoseThatAreFree() throws Exception {
    OwnNetwork.run(
        () -> {
          ForeignRoutes routes = made();
          Socket process = LinuxSocket.newSocketStream(false);
          Reconnector.Place place =
              new Reconnector.Place((int) ProcessHandle.current().pid(), process.intValue());
          InetSocketAddress any = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
          List<Integer> ends = new ArrayList<>();
          new Reconnector("test", routes)
              .reconnect(
                  List.of(new Reconnector.Lost("1", place, false, false, any, null)),
                  (name, fd) -> ends.add(fd));
          Socket end = new Socket(ends.get(0));
          exchange(process, end);
          exchange(end, process);
          process.close();
          end.close();
          return null;
        });
  }

  @Test
  void theSameTwoAddressesAreTakenOnce() throws Exception {
    OwnNetwork.run(
        () -> {
          made();
          InetSocketAddress ours = new InetSocketAddress("198.51.100.1", 80);
          InetSocketAddress theirs = new InetSocketAddress("203.0.113.9", 5000);
          try (Ends ends = joined(ours, theirs, false)) {
            LinuxSocket probe = LinuxSocket.newSocketStream(false);
            assertFalse(ForeignTcp.isFree(probe.intValue(), theirs, ours));
            probe.close();
            LinuxSocket process = LinuxSocket.newSocketStream(false);
            process.setReuseAddress(true);
            LinuxSocket late = LinuxSocket.newSocketStream(false);
            Errno taken =
                assertThrows(
                    Errno.class,
                    () -> ForeignTcp.join(process.intValue(), ours, late.intValue(), theirs));
            assertEquals(Errno.EADDRNOTAVAIL, taken.number());
            late.close();
            // With another port of the same client it can still be had.
            LinuxSocket other = LinuxSocket.newSocketStream(false);
            InetSocketAddress any = new InetSocketAddress(theirs.getAddress(), 0);
            ForeignTcp.join(process.intValue(), ours, other.intValue(), any);
            assertEquals(ours, Inet.localAddress(process.intValue()).toInet());
            exchange(process, other);
            assertTrue(process.isReuseAddress());
            exchange(new Socket(ends.first()), new Socket(ends.second()));
            process.close();
            other.close();
          }
          return null;
        });
  }

  @Test
  void whatWasMadeIsRemovedWithTheLastMigrationOrByTheNextAgent() throws Exception {
    OwnNetwork.run(
        () -> {
          String before = state();
          ForeignRoutes routes = made();
          assertFalse(before.equals(state()));
          routes.acquire("another");
          routes.release("migration");
          assertFalse(before.equals(state()));
          routes.release("another");
          assertEquals(before, state());

          made();
          ForeignRoutes.in(run).tidy(); // of an agent that was started again
          assertEquals(before, state());
          try (var left = Files.list(run)) {
            assertEquals(0, left.count());
          }
          return null;
        });
  }

  /** An address of this host's own is not borne where true connections to it could come. */
  @Test
  void onlyWhatCannotBeMistakenIsAllowed() throws Exception {
    OwnNetwork.run(
        () -> {
          OwnNetwork.command("ip addr add 198.51.100.1/32 dev lo");
          ForeignRoutes routes = made();
          InetSocketAddress own = new InetSocketAddress("198.51.100.1", 80);
          InetSocketAddress foreign = new InetSocketAddress("203.0.113.9", 80);
          assertFalse(routes.allow(own, foreign));
          assertTrue(routes.allow(own, own));
          assertTrue(routes.allow(foreign, own));
          assertFalse(routes.allow(foreign, new InetSocketAddress("2001:db8::1", 80)));
          assertFalse(routes.allow(foreign, null));
          assertFalse(ForeignRoutes.none().allow(foreign, foreign));
          return null;
        });
  }

  private static String state() throws IOException {
    return OwnNetwork.command("ip rule")
        + OwnNetwork.command("ip -6 rule")
        + OwnNetwork.command("ip route show table all")
        + OwnNetwork.command("ip -6 route show table all")
        + OwnNetwork.command(SYSCTLS);
  }

  private ForeignRoutes made() {
    ForeignRoutes routes = ForeignRoutes.in(run);
    routes.acquire("migration");
    return routes;
  }

  /** Descriptors of a connection's two ends. */
  private record Ends(int first, int second) implements AutoCloseable {
    @Override
    public void close() throws IOException {
      new Socket(first).close();
      new Socket(second).close();
    }
  }

  private static Ends joined(InetSocketAddress ours, InetSocketAddress theirs, boolean six)
      throws IOException {
    LinuxSocket first = LinuxSocket.newSocketStream(six);
    LinuxSocket second =
        LinuxSocket.newSocketStream(theirs.getAddress() instanceof java.net.Inet6Address);
    ForeignTcp.join(first.intValue(), ours, second.intValue(), theirs);
    return new Ends(first.intValue(), second.intValue());
  }

  private static int accept(Socket listener) throws Exception {
    while (true) {
      int fd = listener.accept(new byte[26]);
      if (fd >= 0) {
        return fd;
      }
      Thread.sleep(1);
    }
  }

  /** More than fits into both buffers, in both directions' windows. */
  private static void exchange(Socket from, Socket to) throws Exception {
    byte[] sent = new byte[12 << 20];
    new Random(1).nextBytes(sent);
    byte[] got = new byte[sent.length];
    ByteBuffer out = ByteBuffer.allocateDirect(sent.length).put(sent).flip();
    ByteBuffer in = ByteBuffer.allocateDirect(sent.length);
    while (in.hasRemaining()) {
      int written = out.hasRemaining() ? from.write(out, out.position(), out.limit()) : 0;
      out.position(out.position() + Math.max(0, written));
      int read = to.read(in, in.position(), in.limit());
      in.position(in.position() + Math.max(0, read));
    }
    in.flip().get(got);
    assertTrue(Arrays.equals(sent, got));
  }

  private static void awaitEnd(Socket socket) throws Exception {
    ByteBuffer one = ByteBuffer.allocateDirect(1);
    int read = socket.read(one, 0, 1);
    while (read == 0) { // nothing yet
      Thread.sleep(1);
      read = socket.read(one, 0, 1);
    }
    assertEquals(-1, read);
  }
}
