package dev.exile.sockets;

import com.sun.jna.LastErrorException;
import com.sun.jna.Native;
import com.sun.jna.Platform;
import io.netty.channel.epoll.Epoll;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/** A network namespace for a test: what the test does to routes and sysctls ends with it. */
final class OwnNetwork {
  private static final int CLONE_NEWNET = 0x40000000;

  static {
    Native.register(OwnNetwork.class, Platform.C_LIBRARY_NAME);
    Epoll.ensureAvailability(); // its own native part makes the sockets
  }

  private OwnNetwork() {}

  /** Whether this process may make one. */
  static boolean available() {
    return "root".equals(System.getProperty("user.name"));
  }

  /** Runs a test in one that has nothing but its loopback device. */
  static void run(Callable<Void> test) throws Exception {
    FutureTask<Void> task =
        new FutureTask<>(
            () -> {
              unshare(CLONE_NEWNET);
              // Some machines switch IPv6 off by default.
              command("sysctl -q -w net.ipv6.conf.all.disable_ipv6=0");
              command("ip link set lo up");
              return test.call();
            });
    // Of a thread of its own: namespaces belong to threads, and those that it starts inherit them.
    Thread thread = new Thread(task, "own network");
    thread.start();
    try {
      task.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof Exception cause) {
        throw cause;
      }
      throw (Error) e.getCause();
    }
  }

  /** What a command prints that is run there; called by the test's thread. */
  static String command(String line) throws IOException {
    Process process = new ProcessBuilder(line.split(" ", -1)).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      if (process.waitFor() != 0) {
        throw new IOException(line + ": " + said);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
    return said;
  }

  private static native int unshare(int flags) throws LastErrorException;
}
