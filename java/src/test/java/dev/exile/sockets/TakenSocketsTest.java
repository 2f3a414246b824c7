package dev.exile.sockets;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.process.ProcessTree;
import java.io.BufferedReader;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Takes the sockets of a real process, a Python program that says what it has. */
class TakenSocketsTest {
  /** What each program starts with: a listener, and a client of it with its accepted other end. */
  private static final String PAIR =
      """
      import os, socket, sys, time
      def pair(family, address, listen_on=None):
          listener = socket.socket(family)
          listener.bind((listen_on or address, 0))
          listener.listen(5)
          client = socket.create_connection((address, listener.getsockname()[1]))
          return listener, client, listener.accept()[0]
      def ready():
          print("ready", flush=True)
          time.sleep(1000)
      """;

  private final List<Process> started = new ArrayList<>();
  private TakenSockets taken;

  @AfterEach
  void end() throws Exception {
    if (taken != null) {
      taken.close();
    }
    for (Process process : started) {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly().waitFor();
    }
  }

  private TakenSockets take(String program) throws IOException {
    Process process =
        new ProcessBuilder("/usr/bin/python3", "-c", PAIR + program)
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    started.add(process);
    BufferedReader out = process.inputReader();
    assertEquals("ready", out.readLine());
    taken = TakenSockets.take(ProcessTree.of((int) process.pid()).orElseThrow().pids());
    return taken;
  }

  private static TakenSocket only(List<TakenSocket> sockets) {
    assertEquals(1, sockets.size(), sockets::toString);
    return sockets.get(0);
  }

  @Test
  void listenerAndBothEndsOfAConnectionAreTaken() throws IOException {
    TakenSockets sockets = take("sockets = pair(socket.AF_INET, '127.0.0.1')\nready()");

    TakenSocket listener = only(sockets.listeners());
    assertEquals(TcpState.LISTEN, listener.state());
    assertNull(listener.peer());
    assertFalse(listener.ipv6() || listener.mapped());
    assertEquals(2, sockets.connections().size());
    TakenSocket client = sockets.connections().get(0);
    TakenSocket accepted = sockets.connections().get(1);
    assertEquals(TcpState.ESTABLISHED, client.state());
    assertEquals(listener.local(), client.peer());
    assertEquals(client.local(), accepted.peer());
    assertEquals(client.peer(), accepted.local());
    assertEquals(3, Set.copyOf(sockets.all().stream().map(TakenSocket::key).toList()).size());
  }

  @Test
  void descriptorsSharedByProcessesAndByDupAreTakenOnce() throws IOException {
    TakenSockets sockets =
        take(
            """
            sockets = pair(socket.AF_INET, '127.0.0.1')
            copies = [os.dup(s.fileno()) for s in sockets]
            if os.fork() == 0:
                time.sleep(1000)
            if os.fork() == 0:
                time.sleep(1000)
            ready()
            """);

    assertEquals(3, ProcessTree.of((int) started.get(0).pid()).orElseThrow().pids().size());
    assertEquals(1, sockets.listeners().size());
    assertEquals(2, sockets.connections().size());
  }

  @Test
  void statesAreToldAsTheyAre() throws IOException {
    TakenSockets sockets =
        take(
            """
            one, client, accepted = pair(socket.AF_INET, '127.0.0.1')
            client.shutdown(socket.SHUT_WR)
            accepted.recv(1)
            both = pair(socket.AF_INET, '127.0.0.1')
            both[1].shutdown(socket.SHUT_WR)
            both[2].shutdown(socket.SHUT_WR)
            def await_state(one, state):
                while one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != state:
                    time.sleep(0.001)
            await_state(client, 5)
            await_state(both[1], 7)
            await_state(both[2], 7)
            unused = socket.socket()
            bound = socket.socket()
            bound.bind(('127.0.0.1', 0))
            ready()
            """);

    Map<TcpState, Boolean> ended = new java.util.EnumMap<>(TcpState.class);
    sockets.connections().forEach(socket -> ended.put(socket.state(), socket.shutWrite()));
    assertEquals(Map.of(TcpState.FIN_WAIT2, true, TcpState.CLOSE_WAIT, false), ended);
    assertEquals(2, sockets.listeners().size());
    assertEquals(4, sockets.all().size(), "what has no peer is CRIU's");
  }

  @Test
  void familiesAreToldApart() throws IOException {
    TakenSockets sockets =
        take(
            """
            four = pair(socket.AF_INET, '127.0.0.1')
            six = pair(socket.AF_INET6, '::1')
            mapped = pair(socket.AF_INET6, '127.0.0.1', '::')
            only6 = socket.socket(socket.AF_INET6)
            only6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            only6.bind(('::', 0))
            only6.listen(1)
            ready()
            """);

    Set<String> listeners = new HashSet<>();
    sockets.listeners().forEach(s -> listeners.add(s.ipv6() + " " + s.mapped()));
    assertEquals(Set.of("false false", "true true", "true false"), listeners);
    List<TakenSocket> mapped = sockets.connections().stream().filter(TakenSocket::mapped).toList();
    TakenSocket accepted = only(mapped);
    assertTrue(accepted.ipv6());
    assertEquals("127.0.0.1", accepted.peer().getAddress().getHostAddress());
  }

  @Test
  void otherSocketsAreNamedNotTaken() throws IOException {
    TakenSockets sockets =
        take(
            """
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            unix = socket.socketpair()
            ready()
            """);

    assertEquals(List.of(), sockets.all());
    assertEquals(List.of(), sockets.datagrams());
    List<String> others =
        sockets.others().stream().map(s -> s.domain() + "/" + s.type()).sorted().toList();
    assertEquals(List.of("1/1", "1/1", "2/3"), others);
  }

  @Test
  void boundUdpSocketsAreTakenWithTheirAddresses() throws IOException {
    TakenSockets sockets =
        take(
            """
            unbound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            bound = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            bound.bind(("::", 0))
            connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            connected.connect(("127.0.0.1", bound.getsockname()[1]))
            ready()
            """);

    assertEquals(List.of(), sockets.all());
    assertEquals(List.of(), sockets.others());
    assertEquals(2, sockets.datagrams().size());
    TakenDatagrams bound = sockets.datagrams().get(0);
    TakenDatagrams connected = sockets.datagrams().get(1);
    assertTrue(bound.ipv6());
    assertTrue(bound.local().getAddress().isAnyLocalAddress());
    assertEquals(null, bound.peer());
    assertEquals("", bound.device());
    assertEquals("127.0.0.1", connected.local().getAddress().getHostAddress());
    assertEquals(bound.local().getPort(), connected.peer().getPort());
  }

  @Test
  void descriptorsOnTheirWayAreSeen() throws IOException {
    TakenSockets sockets =
        take(
            """
            here, there = socket.socketpair()
            socket.send_fds(here, [b"!"], [0])
            ready()
            """);

    List<Boolean> passing = sockets.others().stream().map(s -> s.passing()).sorted().toList();
    assertEquals(List.of(false, true), passing);
  }

  @Test
  void aConnectionThatWasResetIsTakenAsLongAsThatIsToBeTold() throws IOException {
    TakenSockets sockets =
        take(
            """
            import struct
            def reset():
                listener, client, accepted = pair(socket.AF_INET, '127.0.0.1')
                client.sendall(b"abc")
                while len(accepted.recv(3, socket.MSG_PEEK)) < 3:
                    pass
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                name = client.getsockname()
                client.close()
                while accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 7:
                    time.sleep(0.001)
                return listener, accepted, name
            untold = reset()
            told = reset()
            told[1].recv(3)
            try:
                told[1].recv(1)
            except ConnectionResetError:
                pass
            ready()
            """);

    TakenSocket untold = only(sockets.connections());
    assertEquals(TcpState.CLOSE, untold.state());
    assertTrue(untold.broken());
    assertFalse(untold.shutWrite());
    assertEquals(sockets.listeners().get(0).local(), untold.local());
    assertEquals("127.0.0.1", untold.peer().getAddress().getHostAddress());
  }

  @Test
  void closingDuplicatesTouchesNeitherConnectionsNorListener() throws IOException {
    TakenSockets sockets =
        take(
            """
            listener, client, accepted = pair(socket.AF_INET, '127.0.0.1')
            print("ready", flush=True)
            asker = listener.accept()[0]
            accepted.sendall(b"abc")
            asker.sendall(client.recv(3))
            time.sleep(1000)
            """);
    InetSocketAddress listens = only(sockets.listeners()).local();

    sockets.close();

    assertEquals(List.of(), sockets.handOver());
    try (Socket asker = new Socket(listens.getAddress(), listens.getPort())) {
      byte[] answer = asker.getInputStream().readNBytes(3);
      assertEquals("abc", new String(answer, StandardCharsets.US_ASCII));
    }
  }
}
