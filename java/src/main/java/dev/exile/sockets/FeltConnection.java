package dev.exile.sockets;

import java.util.concurrent.atomic.AtomicLong;

/**
 * What the client of one connection felt of a move: whether something of it waited in exile, since
 * when, and when the first byte went back to it. Written by one event loop, and by the watch before
 * that; read by anybody.
 */
final class FeltConnection {
  /** An answer that comes later after the resume is taken for something else. */
  private static final long ANSWER_NANOS = 1_000_000_000L;

  private static final long NEVER = Long.MIN_VALUE;

  private final String client;
  private volatile long arrived = NEVER;
  private volatile long delivered = NEVER;
  private volatile long wait = NEVER;
  private volatile long waiting;

  /** The offset that the bytes which wait reach to. */
  private volatile long end = Long.MAX_VALUE;

  private final AtomicLong relayed = new AtomicLong();
  private volatile boolean reset;

  /** Whether it has been opened once. */
  private boolean opened;

  FeltConnection(String client) {
    this.client = client;
  }

  /**
   * At this moment, of System.nanoTime, something came that has to wait: bytes, a connection, or an
   * answer that the process owed when it was frozen. Only the first one counts.
   */
  synchronized void arrived(long nanos) {
    if (arrived == NEVER) {
      arrived = nanos;
    }
  }

  /**
   * The relay begins with it. What the destination had before did not wait, though home may not
   * have heard of that until now.
   *
   * @param known the offset up to which the destination has the client's bytes
   * @param received the offset up to which they are at home
   */
  synchronized void opened(long known, long received, long now) {
    if (opened) {
      return;
    }
    opened = true;
    waiting = received - known;
    end = received;
    if (waiting > 0) {
      arrived(now);
    } else {
      delivered = now; // if anything waits, it is the answer
    }
  }

  /** The destination's kernel has the client's bytes up to that offset. */
  void delivered(long offset, long now) {
    if (delivered == NEVER && offset >= end) {
      delivered = now;
    }
  }

  /** So many bytes have gone to the destination. */
  void sent(long bytes) {
    relayed.lazySet(relayed.get() + bytes); // one event loop writes
  }

  /** So many bytes of the process's have gone to the client. */
  void answered(long bytes, long now) {
    relayed.lazySet(relayed.get() + bytes); // one event loop writes
    if (wait == NEVER && arrived != NEVER) {
      wait = inTime(now) ? now - arrived : waitUntilDelivered(now);
    }
  }

  private boolean inTime(long now) {
    return delivered == NEVER || now - delivered < ANSWER_NANOS;
  }

  /** Of what is not answered; 0 where nothing but an answer waited, that never came. */
  private long waitUntilDelivered(long now) {
    if (waiting == 0) {
      return 0;
    }
    return (delivered == NEVER ? now : delivered) - arrived;
  }

  /** It was reset: nobody waits any longer, not even where the relay has never begun with it. */
  synchronized void wasReset(long now) {
    reset = true;
    if (wait == NEVER && arrived != NEVER) {
      wait = opened ? waitUntilDelivered(now) : now - arrived;
    }
  }

  /** It is over: nobody waits any longer. */
  synchronized void ended(long now) {
    if (wait == NEVER && arrived != NEVER) {
      wait = opened ? waitUntilDelivered(now) : 0;
    }
  }

  /** How it stands. */
  Felt.Connection snapshot(long now) {
    long nanos = 0;
    if (wait != NEVER) {
      nanos = wait;
    } else if (arrived != NEVER && opened) {
      nanos = waitUntilDelivered(now);
    }
    return new Felt.Connection(client, waiting, Felt.millis(nanos), relayed.get(), reset);
  }
}
