package dev.exile.linux;

import com.sun.jna.LastErrorException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A sparse file in memory, see memfd_create(2): no file system limits its size, it takes memory
 * only where something was written, and it is gone with its last holder. Reads of holes give zeros.
 */
public final class MemoryFile implements Closeable {
  private static final int MFD_CLOEXEC = 1;
  private static final int PUNCH_HOLE = 2;
  private static final int KEEP_SIZE = 1;

  private final int fd;
  private final FileChannel channel;

  private MemoryFile(int fd) throws IOException {
    this.fd = fd;
    try {
      channel =
          FileChannel.open(
              Path.of("/proc/self/fd/" + fd), StandardOpenOption.READ, StandardOpenOption.WRITE);
    } catch (IOException e) {
      Linux.closeQuietly(fd);
      throw e;
    }
  }

  /** A new one, of that size, all of it a hole. */
  public static MemoryFile create(String name, long size) throws IOException {
    int fd = -1;
    try {
      fd = LibC.memfd_create(name, MFD_CLOEXEC);
      LibC.ftruncate(fd, size);
    } catch (LastErrorException e) {
      Linux.closeQuietly(fd);
      throw new Errno("memfd_create", e);
    }
    return new MemoryFile(fd);
  }

  /** One that another process holds as this descriptor of its own. */
  public static MemoryFile of(int pid, int theirs) throws IOException {
    int pidfd = Linux.pidfdOpen(pid);
    try {
      return new MemoryFile(Linux.pidfdGetFd(pidfd, theirs));
    } finally {
      Linux.close(pidfd);
    }
  }

  /** Where other processes may open it while this one holds it. */
  public Path path() {
    return Path.of("/proc/" + ProcessHandle.current().pid() + "/fd/" + fd);
  }

  /** Writes all of the buffer. */
  public void write(ByteBuffer from, long offset) throws IOException {
    long at = offset;
    while (from.hasRemaining()) {
      at += channel.write(from, at);
    }
  }

  /** Frees the range: it reads as zeros. */
  public void drop(long offset, long length) throws Errno {
    try {
      LibC.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, offset, length);
    } catch (LastErrorException e) {
      throw new Errno("fallocate", e);
    }
  }

  @Override
  public void close() throws IOException {
    channel.close();
    Linux.close(fd);
  }
}
