package dev.exile.sockets;

import java.net.InetSocketAddress;

/**
 * A duplicate of one of the process's real UDP sockets, bound. Until COMMIT nothing is read from
 * it: what waits in its queue, and what comes in exile, is forwarded then.
 *
 * @param key names the socket within its migration
 * @param pid one of the processes that hold it
 * @param fd its descriptor there
 * @param duplicate this agent's descriptor for it
 * @param ipv6 whether it is of family AF_INET6
 * @param local its own address
 * @param peer the peer that it is connected to, or null
 * @param device the device that it is bound to, or empty
 */
public record TakenDatagrams(
    int key,
    int pid,
    int fd,
    int duplicate,
    boolean ipv6,
    InetSocketAddress local,
    InetSocketAddress peer,
    String device) {

  /** Whether it is bound to that device; none is to an empty name. */
  public boolean isOf(String name) {
    return !device.isEmpty() && device.equals(name);
  }

  /** By this name it is parked. */
  public String name() {
    return Integer.toString(key);
  }
}
