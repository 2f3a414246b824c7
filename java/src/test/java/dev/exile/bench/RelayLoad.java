package dev.exile.bench;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Client and server of {@code scripts/bench relay}: both ends of a path in one process, on blocking
 * channels.
 *
 * <p>{@code RelayLoad SINK ROUNDS SECONDS NAME=HOST:PORT[@PID,PID]...}: the server listens at SINK,
 * to which every named path leads. Each round measures all paths one after the other; the first
 * round warms up and does not count. Prints a table of medians and their ratios to the last path.
 */
public final class RelayLoad {
  private static final int CHUNK = 256 << 10;
  private static final int MESSAGE = 64;
  private static final double NANOS = 1e9;

  private final ServerSocketChannel server;
  private final double seconds;
  private double moved;
  private final Map<String, List<double[]>> results = new LinkedHashMap<>();

  private RelayLoad(InetSocketAddress sink, double seconds) throws IOException {
    this.server = ServerSocketChannel.open().bind(sink);
    this.seconds = seconds;
  }

  /** See the class. */
  public static void main(String[] args) throws Exception {
    RelayLoad load = new RelayLoad(address(args[0]), Double.parseDouble(args[2]));
    int rounds = Integer.parseInt(args[1]);
    List<String> paths = List.of(args).subList(3, args.length);
    for (int round = 0; round <= rounds; round++) {
      for (String path : paths) {
        String[] parts = path.split("=", 2);
        String[] where = parts[1].split("@", 2);
        double[] result =
            load.measure(address(where[0]), where.length == 1 ? List.of() : pids(where[1]));
        if (round > 0) {
          load.results.computeIfAbsent(parts[0], unused -> new ArrayList<>()).add(result);
        }
      }
      System.err.printf("round %d of %d done%n", round, rounds);
    }
    load.print();
    System.exit(0);
  }

  /** MB/s up, MB/s down, microseconds p50, p99, CPU seconds per GB of the path's processes. */
  private double[] measure(InetSocketAddress path, List<String> pids) throws Exception {
    double up;
    double down;
    moved = 0;
    double cpu = -cpuSeconds(pids);
    try (SocketChannel client = SocketChannel.open(path);
        SocketChannel process = server.accept()) {
      up = throughput(client, process);
    }
    try (SocketChannel client = SocketChannel.open(path);
        SocketChannel process = server.accept()) {
      down = throughput(process, client);
    }
    cpu += cpuSeconds(pids);
    try (SocketChannel client = SocketChannel.open(path);
        SocketChannel process = server.accept()) {
      double[] latency = pingPong(client, process);
      return new double[] {up, down, latency[0], latency[1], cpu / (moved / 1e9)};
    }
  }

  private static List<String> pids(String text) {
    return List.of(text.split(",", -1));
  }

  /** User and system time of processes so far; clock ticks are 1/100 s on every Linux of today. */
  private static double cpuSeconds(List<String> pids) throws IOException {
    double ticks = 0;
    for (String pid : pids) {
      String stat = Files.readString(Path.of("/proc", pid, "stat"));
      String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
      ticks += Double.parseDouble(fields[11]) + Double.parseDouble(fields[12]);
    }
    return ticks / 100;
  }

  private double throughput(SocketChannel from, SocketChannel to) throws Exception {
    Thread sender =
        start(
            () -> {
              ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK);
              long end = System.nanoTime() + (long) (seconds * NANOS);
              while (System.nanoTime() < end) {
                chunk.clear();
                while (chunk.hasRemaining()) {
                  from.write(chunk);
                }
              }
              from.shutdownOutput();
            });
    ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK);
    long bytes = 0;
    long begin = System.nanoTime();
    for (int length = to.read(chunk); length >= 0; length = to.read(chunk)) {
      bytes += length;
      chunk.clear();
    }
    double elapsed = (System.nanoTime() - begin) / NANOS;
    sender.join();
    moved += bytes;
    return bytes / elapsed / 1e6;
  }

  private double[] pingPong(SocketChannel client, SocketChannel process) throws Exception {
    client.setOption(StandardSocketOptions.TCP_NODELAY, true);
    process.setOption(StandardSocketOptions.TCP_NODELAY, true);
    Thread echo =
        start(
            () -> {
              ByteBuffer message = ByteBuffer.allocateDirect(MESSAGE);
              while (process.read(message) >= 0) {
                message.flip();
                process.write(message);
                message.clear();
              }
            });
    ByteBuffer message = ByteBuffer.allocateDirect(MESSAGE);
    long[] times = new long[4_000_000];
    int count = 0;
    long end = System.nanoTime() + (long) (seconds * NANOS);
    for (long begin = System.nanoTime(); begin < end && count < times.length; ) {
      message.clear();
      client.write(message);
      message.clear();
      while (message.hasRemaining() && client.read(message) >= 0) {
        // until the whole message is back
      }
      long now = System.nanoTime();
      times[count++] = now - begin;
      begin = now;
    }
    client.shutdownOutput();
    echo.join();
    Arrays.sort(times, 0, count);
    return new double[] {times[count / 2] / 1e3, times[(int) (count * 0.99)] / 1e3};
  }

  private void print() {
    String last = new ArrayList<>(results.keySet()).get(results.size() - 1);
    double[] base = medians(last);
    System.out.printf(
        "%-22s %10s %10s %10s %10s %8s %8s %10s%n",
        "path", "up MB/s", "down MB/s", "p50 us", "p99 us", "up x", "down x", "cpu s/GB");
    for (String name : results.keySet()) {
      double[] m = medians(name);
      System.out.printf(
          "%-22s %10.0f %10.0f %10.1f %10.1f %8.2f %8.2f %10.2f%n",
          name, m[0], m[1], m[2], m[3], base[0] / m[0], base[1] / m[1], m[4]);
    }
    System.out.printf(
        "medians; up: client to process; x: %s divided by the path of that line%n", last);
  }

  private double[] medians(String name) {
    List<double[]> rounds = results.get(name);
    double[] medians = new double[5];
    for (int column = 0; column < medians.length; column++) {
      int which = column;
      double[] sorted = rounds.stream().mapToDouble(row -> row[which]).sorted().toArray();
      int half = sorted.length / 2;
      medians[column] =
          sorted.length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    }
    return medians;
  }

  private interface Task {
    void run() throws IOException;
  }

  private static Thread start(Task task) {
    Thread thread =
        new Thread(
            () -> {
              try {
                task.run();
              } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
              }
            });
    thread.start();
    return thread;
  }

  private static InetSocketAddress address(String text) {
    int colon = text.lastIndexOf(':');
    return new InetSocketAddress(
        text.substring(0, colon), Integer.parseInt(text.substring(colon + 1)));
  }
}
