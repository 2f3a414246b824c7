package dev.exile.signals;

import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.Set;

/**
 * A signal that was sent to a process at home, with all that home's kernel knows of it.
 *
 * @param pid the process
 * @param sequence names the signal, however often it is sent on: rises by one per process, from 1.
 *     Those of SIGSTOP rise by themselves; 0 for SIGKILL, which may come twice
 * @param tid the thread it was sent to, 0 for the process
 * @param siginfo the kernel's siginfo, {@link #SIGINFO_BYTES} bytes, see sigaction(2)
 * @param held whether it was sent before the process ran at the destination
 */
public record SentSignal(int pid, long sequence, int tid, ByteString siginfo, boolean held) {
  /** What the kernel tells of a signal, in bytes; the rest of siginfo_t is zero. */
  public static final int SIGINFO_BYTES = 48;

  static final int SIGKILL = 9;

  /** {@code SIGCONT}. */
  public static final int SIGCONT = 18;

  static final int SIGSTOP = 19;
  private static final int SIGWINCH = 28;

  /** SIGHUP, SIGINT, SIGQUIT, SIGTSTP. */
  private static final Set<Integer> JOB_SIGNALS = Set.of(1, 2, 3, 20);

  private static final int SI_KERNEL = 0x80;

  /** Checks the siginfo's size. */
  public SentSignal {
    if (siginfo.size() != SIGINFO_BYTES) {
      throw new IllegalArgumentException("a siginfo of " + siginfo.size() + " bytes");
    }
  }

  /** One as the shim prints it, in hexadecimal digits. */
  static SentSignal parse(int pid, long sequence, int tid, String siginfo, boolean held) {
    return new SentSignal(pid, sequence, tid, ByteString.fromHex(siginfo), held);
  }

  static SentSignal kill(int pid) {
    return plain(pid, 0, SIGKILL);
  }

  static SentSignal stop(int pid, long sequence) {
    return plain(pid, sequence, SIGSTOP);
  }

  /** Of these nobody ever sees more than the number. */
  private static SentSignal plain(int pid, long sequence, int number) {
    ByteBuffer siginfo = ByteBuffer.allocate(SIGINFO_BYTES).order(ByteOrder.nativeOrder());
    siginfo.putInt(0, number);
    return new SentSignal(pid, sequence, 0, ByteString.copyFrom(siginfo), false);
  }

  /** Whether its deputy has taken it, and waits for word that it is safe: not SIGKILL, SIGSTOP. */
  boolean isTaken() {
    return number() != SIGKILL && number() != SIGSTOP;
  }

  /** The signal's number. */
  public int number() {
    return siginfo.asReadOnlyByteBuffer().order(ByteOrder.nativeOrder()).getInt(0); // si_signo
  }

  /**
   * Whether it is one that a whole job gets: from its terminal's keys or end, or to go on. (A shell
   * that continues a job, and somebody who continues one process, look the same.)
   */
  public boolean isForJob() {
    return number() == SIGCONT || (JOB_SIGNALS.contains(number()) && fromKernel());
  }

  /** Whether it is a terminal's word that its window's size has changed. */
  public boolean isWindowChange() {
    return number() == SIGWINCH && fromKernel();
  }

  private boolean fromKernel() {
    ByteBuffer info = siginfo.asReadOnlyByteBuffer().order(ByteOrder.nativeOrder());
    return info.getInt(2 * Integer.BYTES) == SI_KERNEL; // si_code
  }

  /** As the shim reads it. */
  String siginfoText() {
    return HexFormat.of().formatHex(siginfo.toByteArray());
  }
}
