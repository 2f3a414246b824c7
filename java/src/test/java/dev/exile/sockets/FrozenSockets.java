package dev.exile.sockets;

import com.sun.jna.LastErrorException;
import com.sun.jna.Native;
import com.sun.jna.Platform;
import io.netty.channel.epoll.LinuxSocket;
import io.netty.channel.unix.Socket;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;

/**
 * Stands for a frozen process at home: it listens, and it holds the descriptors of the connections
 * that it accepted while a relay works on duplicates of them.
 */
public final class FrozenSockets implements AutoCloseable {
  private static final int FIONREAD = 0x541B;
  private static final int O_NONBLOCK = 0x800;

  static {
    Native.register(FrozenSockets.class, Platform.C_LIBRARY_NAME);
  }

  private final LinuxSocket listener;
  private final List<Integer> held = new ArrayList<>();

  /** Listens on a free port of the loopback. */
  public FrozenSockets() throws IOException {
    listener = LinuxSocket.newSocketStream(false);
    listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    listener.listen(1024);
    setBlocking(listener.intValue());
  }

  public InetSocketAddress address() {
    return listener.localAddress();
  }

  /** Accepts a connection that a client has made, in blocking mode as most processes do. */
  public Socket accept() throws IOException {
    int fd = listener.accept(new byte[26]);
    setBlocking(fd);
    held.add(fd);
    return new Socket(fd);
  }

  /** A duplicate of the listener's descriptor. */
  public int duplicateListener() {
    return dup(listener.intValue());
  }

  /** A duplicate, as pidfd_getfd would make it. */
  public static int duplicate(Socket socket) {
    return dup(socket.intValue());
  }

  /** Bytes that wait to be read. */
  public static int waiting(Socket socket) {
    int[] value = new int[1];
    ioctl(socket.intValue(), FIONREAD, value);
    return value[0];
  }

  /** Bytes that wait to be read on one of the JDK's own channels. */
  public static int unread(java.nio.channels.SocketChannel channel) throws IOException {
    return channel.socket().getInputStream().available();
  }

  /** Whether the open file is in non-blocking mode. */
  public static boolean isNonBlocking(Socket socket) {
    return (fcntl(socket.intValue(), 3, 0) & O_NONBLOCK) != 0;
  }

  private static void setBlocking(int fd) {
    fcntl(fd, 4, fcntl(fd, 3, 0) & ~O_NONBLOCK);
  }

  @Override
  public void close() throws IOException {
    listener.close();
    for (int fd : held) {
      new Socket(fd).close();
    }
  }

  private static native int dup(int fd) throws LastErrorException;

  private static native int ioctl(int fd, long request, int[] value) throws LastErrorException;

  private static native int fcntl(int fd, int command, int argument) throws LastErrorException;
}
