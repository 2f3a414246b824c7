package dev.exile.cli;

import org.jline.utils.Signals;

/** Hands SIGINT and SIGTERM to a handler instead of ending the JVM, until closed. */
final class Interrupts {
  private final Object oldInt;
  private final Object oldTerm;

  /** The handler runs on a thread of its own, once for each signal. */
  Interrupts(Runnable handler) {
    oldInt = Signals.register("INT", handler);
    oldTerm = Signals.register("TERM", handler);
  }

  /** Gives the signals back to the JVM. */
  void close() {
    Signals.unregister("TERM", oldTerm);
    Signals.unregister("INT", oldInt);
  }
}
