package dev.exile.linux;

/** Numbers of socket options and TCP states on Linux x86-64, from the kernel's uapi headers. */
public final class Sockets {
  /** Level of the generic options. */
  public static final int SOL_SOCKET = 1;

  /** Level of IPv6's options. */
  public static final int SOL_IPV6 = 41;

  /** Level of TCP's options. */
  public static final int SOL_TCP = 6;

  /** Pending error, cleared when read. */
  public static final int SO_ERROR = 4;

  /** SOCK_STREAM, SOCK_DGRAM, ... */
  public static final int SO_TYPE = 3;

  /** Whether the socket listens. */
  public static final int SO_ACCEPTCONN = 30;

  /** IPPROTO_TCP, ... */
  public static final int SO_PROTOCOL = 38;

  /** Address family. */
  public static final int SO_DOMAIN = 39;

  /** Whether an IPv6 socket refuses IPv4. */
  public static final int IPV6_V6ONLY = 26;

  /** {@code struct tcp_info}; its first byte is the state. */
  public static final int TCP_INFO = 11;

  /** shutdown(2): no more sending. */
  public static final int SHUT_WR = 1;

  /** shutdown(2): both directions. */
  public static final int SHUT_RDWR = 2;

  /** {@code IPPROTO_TCP}. */
  public static final int IPPROTO_TCP = 6;

  private Sockets() {}
}
