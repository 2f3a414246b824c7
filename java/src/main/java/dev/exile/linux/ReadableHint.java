package dev.exile.linux;

import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.Pointer;

/**
 * Asks the kernel how far a TCP socket can be read on (TCP_INQ, see tcp_inq_hint() in Linux): of
 * all that can be asked, only this tells of a FIN that waits behind bytes in a socket that is
 * closed by now.
 */
final class ReadableHint {
  private static final int TCP_INQ = 36;
  private static final int MSG_PEEK = 2;
  private static final int MSG_DONTWAIT = 0x40;

  // struct msghdr, one iovec, one byte to read into, room for one control message
  private static final int IOV = 56;
  private static final int BYTE = IOV + 16;
  private static final int CONTROL = BYTE + 8;
  private static final int CONTROL_BYTES = 32;
  private static final int CMSG_DATA = CONTROL + 16;

  private ReadableHint() {}

  /**
   * Bytes to read, a FIN behind them counted as one; 1 for ever once only the FIN is left. Where
   * there is nothing at all to read, 0; an error of the socket is taken from it then.
   */
  static int of(int fd) throws Errno {
    Inet.set(fd, Inet.IPPROTO_TCP, TCP_INQ, 1);
    try (Memory memory = new Memory(CONTROL + CONTROL_BYTES)) {
      long address = Pointer.nativeValue(memory);
      memory.clear();
      memory.setLong(16, address + IOV);
      memory.setLong(24, 1);
      memory.setLong(32, address + CONTROL);
      memory.setLong(40, CONTROL_BYTES);
      memory.setLong(IOV, address + BYTE);
      memory.setLong(IOV + 8, 1);
      long got;
      do {
        got = LibC.recvmsg(fd, address, MSG_PEEK | MSG_DONTWAIT);
      } while (got < 0 && Native.getLastError() == Errno.EINTR);
      return got < 0 ? 0 : memory.getInt(CMSG_DATA);
    } finally {
      Inet.set(fd, Inet.IPPROTO_TCP, TCP_INQ, 0);
    }
  }
}
