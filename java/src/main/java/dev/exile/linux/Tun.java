package dev.exile.linux;

import com.sun.jna.LastErrorException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * TUN devices: network devices whose packets a process reads and writes, see
 * Documentation/networking/tuntap.rst of the kernel. A read or a write is one IP packet.
 */
public final class Tun {
  private static final Path CONTROL = Path.of("/dev/net/tun");
  private static final int O_RDWR = 2;
  private static final int O_NONBLOCK = 0x800;
  private static final int O_CLOEXEC = 02000000;
  private static final long TUNSETIFF = 0x400454caL;
  private static final long TUNSETPERSIST = 0x400454cbL;

  /** struct ifreq: 16 bytes for the name, then the flags. */
  private static final int IFREQ_BYTES = 40;

  private static final int IFNAMSIZ = 16;
  private static final int IFF_TUN = 0x0001;
  private static final int IFF_NO_PI = 0x1000;
  private static final int IFF_TUN_EXCL = 0x8000;

  private Tun() {}

  /** Whether this host has such devices, and lets this agent make them. */
  public static boolean available() {
    if (!Files.exists(CONTROL)) {
      return false;
    }
    try {
      Linux.close(control());
      return true;
    } catch (Errno e) {
      return false;
    }
  }

  private static int control() throws Errno {
    try {
      return LibC.open(CONTROL.toString(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    } catch (LastErrorException e) {
      throw new Errno("open of " + CONTROL, e);
    }
  }

  /**
   * Makes a device, which is gone when its descriptor is closed.
   *
   * @return its descriptor, which does not block
   * @throws Errno EBUSY where there is a device of that name
   */
  public static int create(String name) throws Errno {
    return attach(name, IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL);
  }

  /** Opens a device that persists, or makes it anew. */
  public static int open(String name) throws Errno {
    return attach(name, IFF_TUN | IFF_NO_PI);
  }

  private static int attach(String name, int flags) throws Errno {
    int fd = control();
    byte[] request = new byte[IFREQ_BYTES];
    byte[] ascii = name.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(ascii, 0, request, 0, Math.min(ascii.length, IFNAMSIZ - 1));
    request[IFNAMSIZ] = (byte) flags;
    request[IFNAMSIZ + 1] = (byte) (flags >> 8);
    try {
      LibC.ioctl(fd, TUNSETIFF, request);
      return fd;
    } catch (LastErrorException e) {
      Linux.closeQuietly(fd);
      throw new Errno("ioctl(TUNSETIFF) for " + name, e);
    }
  }

  /** Whether the device outlives its descriptor. */
  public static void persist(int fd, boolean persistent) throws Errno {
    try {
      LibC.ioctl(fd, TUNSETPERSIST, persistent ? 1L : 0L);
    } catch (LastErrorException e) {
      throw new Errno("ioctl(TUNSETPERSIST)", e);
    }
  }
}
