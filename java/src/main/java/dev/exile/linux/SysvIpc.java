package dev.exile.linux;

import com.sun.jna.LastErrorException;
import com.sun.jna.Native;
import com.sun.jna.Platform;

/** Calls on SysV IPC objects of this process's IPC namespace, see sysvipc(7). */
public final class SysvIpc {
  private static final int IPC_RMID = 0;
  private static final int GETPID = 11;

  private SysvIpc() {}

  /** The C library's functions. */
  private static final class Calls {
    static {
      Native.register(Calls.class, Platform.C_LIBRARY_NAME);
    }

    private Calls() {}

    static native int shmctl(int id, int command, long buffer) throws LastErrorException;

    static native int msgctl(int id, int command, long buffer) throws LastErrorException;

    static native int semctl(int id, int semaphore, int command, long argument)
        throws LastErrorException;
  }

  /**
   * Who has last operated on a semaphore of a set.
   *
   * @return the PID as this PID namespace numbers it; 0 for nobody, or nobody in it
   */
  public static int lastUser(int set, int semaphore) throws Errno {
    try {
      return Calls.semctl(set, semaphore, GETPID, 0);
    } catch (LastErrorException e) {
      throw new Errno("semctl(GETPID) of semaphore set " + set, e);
    }
  }

  /** Removes a shared memory segment; it goes once nobody has it attached. */
  public static void removeSegment(int id) throws Errno {
    try {
      Calls.shmctl(id, IPC_RMID, 0);
    } catch (LastErrorException e) {
      throw new Errno("shmctl(IPC_RMID) of segment " + id, e);
    }
  }

  /** Removes a message queue with what waits in it. */
  public static void removeQueue(int id) throws Errno {
    try {
      Calls.msgctl(id, IPC_RMID, 0);
    } catch (LastErrorException e) {
      throw new Errno("msgctl(IPC_RMID) of queue " + id, e);
    }
  }

  /** Removes a semaphore set. */
  public static void removeSet(int id) throws Errno {
    try {
      Calls.semctl(id, 0, IPC_RMID, 0);
    } catch (LastErrorException e) {
      throw new Errno("semctl(IPC_RMID) of set " + id, e);
    }
  }
}
