package dev.exile.sockets;

import java.io.IOException;

/**
 * Where a parked connection stands, in bytes from its beginning at the freeze: what the next relay
 * of it goes on from.
 *
 * @param written bytes that have been written into its socket
 * @param shut whether its output has been shut down
 * @param consumed bytes that have been taken out of it for good
 * @param available bytes that can be read
 * @param pending whether it is being connected
 * @param untouched whether it is still to be connected
 * @param over whether both directions have ended and nothing is left to read
 */
record Offsets(
    long written,
    boolean shut,
    long consumed,
    long available,
    boolean pending,
    boolean untouched,
    boolean over) {

  /** Prepares the socket for a relay and looks at it; nobody else may read or write it. */
  static Offsets of(Park.Parked parked) throws IOException {
    ParkNote note = ParkNote.parse(parked.note());
    TcpSocket.prepare(parked.fd());
    SocketProgress progress = SocketProgress.of(parked.fd());
    // Of a broken connection the kernel has forgotten some: nothing is written any more, and what
    // is
    // said of it is not looked at.
    return new Offsets(
        Math.max(0, progress.written() - note.written()),
        progress.finSent(),
        Math.max(0, progress.consumed() - note.consumed()),
        progress.unread(),
        progress.state() == TcpState.SYN_SENT,
        progress.untouched(),
        progress.over());
  }

  /** What the kernel has received, whether it has been taken out or not. */
  long received() {
    return consumed + available;
  }

  /** What has been written, the end counted as one more. */
  long position() {
    return written + (shut ? 1 : 0);
  }
}
