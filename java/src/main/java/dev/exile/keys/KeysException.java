package dev.exile.keys;

/**
 * Keys cannot be made, read or used. The message is one line for the operator: which file, what is
 * wrong with it, what to do.
 */
public final class KeysException extends Exception {
  /** With the line for the operator. */
  public KeysException(String message) {
    super(message);
  }

  /** With the line for the operator and what caused it. */
  public KeysException(String message, Throwable cause) {
    super(message, cause);
  }
}
