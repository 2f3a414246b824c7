package dev.exile.shim;

import java.io.IOException;

/** The shim could not do what it was asked for; the message is its own. */
public final class ShimException extends IOException {
  private static final long serialVersionUID = 1;

  /** With what the shim said. */
  public ShimException(String message) {
    super(message);
  }
}
