package dev.exile.shim;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The unix socket on which cells talk to the agent: one line in, one line out, as text.
 *
 * <pre>
 * pre-resume ID            the tree is restored and stands before its last kick    -> resume | abort
 * resumed ID               CRIU has let go of it                                   -> ok
 * failed ID exit|signal N  CRIU could not restore                                  -> ok
 * exited ID PID STATUS     the restored process has ended, STATUS as from wait(2)  -> ok
 * </pre>
 *
 * An answer may take its time: the hook waits. Whoever gets no answer asks again.
 */
public final class CellServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(CellServer.class);

  /** Who answers the cells. */
  @FunctionalInterface
  public interface Handler {
    /**
     * Answers one line.
     *
     * @param words the line's words, the job's first, then the migration's id
     * @return the answer, or null where there is none yet: the cell asks again
     */
    String answer(String[] words) throws InterruptedException;
  }

  private static final long RETRY_MILLIS = 100;

  private final ServerSocketChannel server;
  private final Handler handler;
  private final Path path;

  /** Listens at {@code path}, in a directory that only root may enter. */
  public CellServer(Path path, Handler handler) throws IOException {
    this.path = path;
    this.handler = handler;
    Files.deleteIfExists(path);
    server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    server.bind(UnixDomainSocketAddress.of(path));
    Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
    start("cells", this::accept);
  }

  private static void start(String name, Runnable work) {
    Thread thread = new Thread(work, name);
    thread.setDaemon(true);
    thread.start();
  }

  private void accept() {
    while (true) {
      try {
        SocketChannel client = server.accept();
        start("cell-line", () -> serve(client));
      } catch (ClosedChannelException e) {
        return;
      } catch (IOException e) {
        LOG.error("cannot accept a cell's connection, trying again: {}", e.toString());
        pause();
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(RETRY_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void serve(SocketChannel client) {
    try (client) {
      BufferedReader in = new BufferedReader(Channels.newReader(client, StandardCharsets.UTF_8));
      String line = in.readLine();
      if (line == null) {
        return;
      }
      String answer = handler.answer(line.trim().split(" ", -1));
      if (answer != null) {
        client.write(ByteBuffer.wrap((answer + "\n").getBytes(StandardCharsets.UTF_8)));
      }
    } catch (InterruptedException | InterruptedIOException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      LOG.warn("a cell went away before it had its answer: {}", e.toString());
    }
  }

  @Override
  public void close() throws IOException {
    server.close();
    Files.deleteIfExists(path);
  }
}
