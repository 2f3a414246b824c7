package dev.exile.sockets;

import dev.exile.linux.DatagramIo;
import dev.exile.linux.Errno;
import dev.exile.linux.Udp;
import io.netty.buffer.ByteBuf;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Datagrams that a process which moves on has not read yet: CRIU does not take a UDP socket's queue
 * along. They travel beside its images, as IP packets one after the other, and stay where they are:
 * a process that does not move on after all still has them.
 */
final class WaitingDatagrams {
  /** The name of their file among the images. */
  static final String IMAGE = "datagrams.img";

  private static final int FROM_THE_FIRST = 0;

  private final OutputStream out;
  private final DatagramIo io = new DatagramIo();
  private int count;

  private WaitingDatagrams(OutputStream out) {
    this.out = out;
  }

  /**
   * Writes down what waits in the sockets of a process that stands still, after CRIU's dump: their
   * options are changed for a moment.
   *
   * @return how many datagrams
   */
  static int save(Path image, Iterable<TakenDatagrams> sockets) throws IOException {
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(image))) {
      WaitingDatagrams waiting = new WaitingDatagrams(out);
      for (TakenDatagrams socket : sockets) {
        waiting.look(socket);
      }
      return waiting.count;
    } catch (UncheckedIOException e) {
      throw new IOException(e.getCause().getMessage(), e);
    }
  }

  private void look(TakenDatagrams socket) throws IOException {
    int fd = socket.duplicate();
    boolean told = Udp.tellDestinations(fd, true);
    try {
      int before = Udp.peekFrom(fd, FROM_THE_FIRST);
      try {
        peek(socket, new UdpPackets(fd, socket.local(), io));
      } finally {
        Udp.peekFrom(fd, before);
      }
    } finally {
      Udp.tellDestinations(fd, told);
    }
  }

  private void peek(TakenDatagrams socket, UdpPackets packets) throws IOException {
    int errors = 0;
    while (true) {
      int got = packets.peek(this::write);
      if (got == -Errno.EAGAIN) {
        return;
      }
      if (got < 0 && ++errors > UdpSocket.MOST_ERRORS) {
        throw new IOException(
            "descriptor %d of process %d cannot be looked into: errno %d"
                .formatted(socket.fd(), socket.pid(), -got));
      }
    }
  }

  private void write(ByteBuf packet) {
    try {
      packet.readBytes(out, packet.readableBytes());
      count++;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      packet.release();
    }
  }
}
