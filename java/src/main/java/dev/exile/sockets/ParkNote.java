package dev.exile.sockets;

import java.io.IOException;

/**
 * What a parked socket's note says: where its connection's bytes begin to count, by which the next
 * agent tells from {@link SocketProgress} how far it is.
 *
 * <pre>
 *   base WRITTEN CONSUMED            a connection that existed before
 *   base WRITTEN CONSUMED LISTENER   one to be made to the process's listener of that name
 *   accepted LISTENER                one that the parker has accepted
 *   listener
 * </pre>
 *
 * @param written {@link SocketProgress#written} at offset 0
 * @param consumed {@link SocketProgress#consumed} at offset 0
 * @param listener the listener that it is to be joined to, null for none
 */
record ParkNote(long written, long consumed, String listener) {
  static final String LISTENER = "listener";

  /** A connection that we make ourselves to that listener: our SYN counts. */
  static ParkNote connecting(String listener) {
    return new ParkNote(1, 0, listener);
  }

  /** A connection whose bytes count from how far it is now. */
  static ParkNote from(SocketProgress progress) {
    return new ParkNote(progress.written(), progress.consumed(), null);
  }

  static ParkNote parse(String text) throws IOException {
    String[] words = text.split(" ", -1);
    try {
      if (words[0].equals("accepted") && words.length == 2) {
        return new ParkNote(0, 0, words[1]);
      }
      if (words[0].equals("base") && (words.length == 3 || words.length == 4)) {
        return new ParkNote(
            Long.parseLong(words[1]),
            Long.parseLong(words[2]),
            words.length == 4 ? words[3] : null);
      }
    } catch (NumberFormatException e) {
      throw new IOException("not the note of a parked socket: " + text, e);
    }
    throw new IOException("not the note of a parked socket: " + text);
  }

  @Override
  public String toString() {
    return "base " + written + " " + consumed + (listener == null ? "" : " " + listener);
  }
}
