package dev.exile.sockets;

/**
 * Sizes of the relay and the carrier, all in bytes. They were chosen with {@code scripts/bench
 * relay}.
 *
 * <p>Memory of one relayed connection and direction, at most: the sending host holds {@link
 * #STREAM_HIGH} bytes plus one {@link #READ_CHUNK} that wait for the carrier, the receiving host
 * {@link #STREAM_WINDOW} bytes that wait for the socket. Both copy fragments together, so what is
 * allocated is at most twice that. Everything beyond stays in the kernel's socket buffers, where
 * TCP pushes back on the sender.
 */
final class Tuning {
  /** What a peer may send on one relayed stream before the receiving socket has taken it. */
  static final int STREAM_WINDOW = 256 << 10;

  /** Window credit is returned in steps of this size. */
  static final int CREDIT_STEP = STREAM_WINDOW / 8;

  /**
   * The connection's window; it is refilled as data arrives, so it only has to cover the network's
   * delay.
   */
  static final int CONNECTION_WINDOW = 64 << 20;

  /** The window of one image file. */
  static final int IMAGE_WINDOW = 8 << 20;

  /** Largest payload of an HTTP/2 frame. */
  static final int MAX_FRAME = 64 << 10;

  /** A socket is not read while its stream has more than this to send... */
  static final int STREAM_HIGH = 256 << 10;

  /** ...until it has less than this. */
  static final int STREAM_LOW = 128 << 10;

  /** The same for the carrier as a whole: what may wait between HTTP/2 and the kernel. */
  static final int CARRIER_HIGH = 1 << 20;

  /** See {@link #CARRIER_HIGH}. */
  static final int CARRIER_LOW = 512 << 10;

  /** One read from a relayed socket. */
  static final int READ_CHUNK = 128 << 10;

  /** One read from the carrier's own connection. */
  static final int CARRIER_READ = 256 << 10;

  /**
   * Pieces below this size are copied together while they wait, so that small ones do not pin large
   * buffers.
   */
  static final int SMALL = 4 << 10;

  /** One chunk of an image file. */
  static final int FILE_CHUNK = 256 << 10;

  /** How much of an image file is read ahead of the network. */
  static final int FILE_AHEAD = 4 << 20;

  private Tuning() {}
}
