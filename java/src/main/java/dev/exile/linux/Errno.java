package dev.exile.linux;

import com.sun.jna.LastErrorException;
import java.io.IOException;

/** A system call that failed; the message names the call and what it was about. */
public final class Errno extends IOException {
  /** {@code EPERM}: not permitted. */
  public static final int EPERM = 1;

  /** {@code ESRCH}: no such process. */
  public static final int ESRCH = 3;

  /** {@code EINTR}: a signal came first. */
  public static final int EINTR = 4;

  /** {@code EAGAIN}: there is nothing now. */
  public static final int EAGAIN = 11;

  /** {@code EBADF}: no such descriptor (any more). */
  public static final int EBADF = 9;

  /** {@code EBUSY}: somebody else has it. */
  public static final int EBUSY = 16;

  /** {@code EINVAL}: it is not to be asked that. */
  public static final int EINVAL = 22;

  /** {@code ENOTTY}: it knows no such ioctl. */
  public static final int ENOTTY = 25;

  /** {@code ECONNREFUSED}: of UDP, a host has said so of an earlier datagram. */
  public static final int ECONNREFUSED = 111;

  /** {@code EADDRINUSE}: another socket has that address. */
  public static final int EADDRINUSE = 98;

  /** {@code EADDRNOTAVAIL}: no such address here, or a connection has the same two already. */
  public static final int EADDRNOTAVAIL = 99;

  /** {@code ENOTCONN}. */
  public static final int ENOTCONN = 107;

  /** {@code ETIMEDOUT}. */
  public static final int ETIMEDOUT = 110;

  /** {@code EINPROGRESS}: the connect goes on. */
  public static final int EINPROGRESS = 115;

  private static final long serialVersionUID = 1;

  private final int number;

  Errno(String call, int number) {
    super("%s failed: %s (errno %d)".formatted(call, LibC.strerror(number), number));
    this.number = number;
  }

  Errno(String call, LastErrorException cause) {
    this(call, cause.getErrorCode());
  }

  /** The error's number as in errno(3). */
  public int number() {
    return number;
  }
}
