package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Native;
import com.sun.jna.Platform;

/** The C library's functions, mapped directly by JNA. */
final class LibC {
  static {
    Native.register(LibC.class, Platform.C_LIBRARY_NAME);
  }

  private LibC() {}

  static native long syscall(long number, long a, long b, long c, long d) throws LastErrorException;

  static native int close(int fd) throws LastErrorException;

  static native int clock_gettime(int clock, long[] time) throws LastErrorException;

  static native int mkfifo(String path, int mode) throws LastErrorException;

  static native int fcntl(int fd, int command, int argument) throws LastErrorException;

  static native int bind(int fd, byte[] address, int length) throws LastErrorException;

  static native int connect(int fd, byte[] address, int length) throws LastErrorException;

  static native int shutdown(int fd, int how) throws LastErrorException;

  static native int getsockopt(int fd, int level, int option, int[] value, int[] length)
      throws LastErrorException;

  static native int setsockopt(int fd, int level, int option, int[] value, int length)
      throws LastErrorException;

  static native int getsockname(int fd, byte[] address, int[] length) throws LastErrorException;

  static native int getpeername(int fd, byte[] address, int[] length) throws LastErrorException;

  static native int getsockopt(int fd, int level, int option, byte[] value, int[] length)
      throws LastErrorException;

  static native int ioctl(int fd, long request, int[] value) throws LastErrorException;

  static native int ioctl(int fd, long request, byte[] value) throws LastErrorException;

  /** The third argument is a plain number. */
  static native int ioctl(int fd, long request, long value) throws LastErrorException;

  static native int open(String path, int flags) throws LastErrorException;

  static native int memfd_create(String name, int flags) throws LastErrorException;

  static native int ftruncate(int fd, long length) throws LastErrorException;

  static native int fallocate(int fd, int mode, long offset, long length) throws LastErrorException;

  static native int socket(int domain, int type, int protocol) throws LastErrorException;

  static native int setsockopt(int fd, int level, int option, byte[] value, int length)
      throws LastErrorException;

  /** -1 with {@link com.sun.jna.Native#getLastError}: called often, it makes no garbage. */
  static native long recv(int fd, long buffer, long length, int flags);

  /** The same into an array. */
  static native long recv(int fd, byte[] buffer, long length, int flags);

  /** As {@link #recv}. */
  static native long send(int fd, byte[] buffer, long length, int flags);

  /** As {@link #recv}; {@code message} is the address of a struct msghdr. */
  static native long recvmsg(int fd, long message, int flags);

  /** The same. */
  static native long sendmsg(int fd, long message, int flags);

  static native int pipe2(int[] ends, int flags) throws LastErrorException;

  static native long tee(int from, int to, long length, int flags) throws LastErrorException;

  static native long read(int fd, byte[] buffer, long length) throws LastErrorException;

  static native int poll(short[] fds, long count, int timeoutMillis) throws LastErrorException;

  static native String strerror(int number);
}
