package dev.exile.signals;

import dev.exile.linux.Linux;
import dev.exile.process.Proc;
import io.netty.channel.Channel;
import java.io.IOException;
import java.util.concurrent.TimeUnit;

/**
 * One deputy, as this agent knows it: what it was told, and what it is to be told again when it
 * connects again. Guarded by the lock of its {@link Deputies}.
 */
// What cannot be written closes the channel; the deputy connects again and is told again.
@SuppressWarnings("FutureReturnValueIgnored")
final class Deputy {
  /** A stop that is not seen within this time was over before it could be told. */
  private static final long ANSWER_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final int pid;

  /** Signals of the process that were held for threads that are no more; they come first. */
  private final long held;

  /** Names it for good: its PID may be another's once it has ended. -1: it has. */
  private int pidfd;

  private Channel channel;

  /** Its own number of the newest signal that it has sent. */
  private long newest;

  /** Whether it stands in a stop, as its watcher tells. */
  private boolean stopped;

  /** Whether somebody at home has sent it the SIGSTOP by which it stops, or is about to. */
  private boolean asked;

  /**
   * SIGSTOPs from home that the real process has not been seen to stop by, and when the last came.
   */
  private int unanswered;

  private long askedNanos;

  /** Whether it was told to stop, and its watcher has not told since that it goes on. */
  private boolean told;

  /** Whether its watcher has just begun, so that nobody has seen who has stopped it. */
  private boolean unseen;

  /** Whether this agent has heard from the destination how the real process stands. */
  private boolean heard;

  /** The newest of its own numbers that is safe at the destination; 0: none. */
  private long safe;

  /** What the real process is stopped by, 0 while it runs. */
  private int stopSignal;

  /** The wait status that it is to end with; null while the real process lives. */
  private Integer end;

  /**
   * One that lives, or has ended: whoever has the PID by now is told by the start time.
   *
   * @param startTicks when the process began, in clock ticks since boot
   */
  Deputy(int pid, long startTicks, long held) {
    this.pid = pid;
    this.held = held;
    try {
      this.pidfd = Linux.pidfdOpen(pid);
    } catch (IOException e) {
      this.pidfd = -1;
    }
    if (Proc.info(pid).filter(process -> process.startTicks() == startTicks).isEmpty()) {
      gone();
    }
  }

  void connected(Channel with) {
    if (channel != null) {
      channel.close();
    }
    channel = with;
    if (safe > 0) {
      say("ok " + safe); // may have been lost with the last connection
    }
    if (end != null) {
      sayEnd();
    } else if (stopSignal != 0 && !stopped) {
      sayStop();
    }
  }

  void disconnected(Channel from) {
    if (channel == from) {
      channel = null;
    }
  }

  /** Our number of a signal that it has sent under its own number; 0 where that had come before. */
  long sequence(long number) {
    if (number <= newest) {
      return 0;
    }
    newest = number;
    return held + number;
  }

  /** All up to this one of our numbers are safe at the destination. */
  void acknowledge(long sequence) {
    if (sequence > held) {
      safe = sequence - held;
      say("ok " + safe);
    }
  }

  /**
   * The real process has been stopped, or goes on (0). May be called again.
   *
   * <p>What came of a SIGSTOP and a SIGCONT at home, the deputy has done already: to repeat it here
   * could undo the next one, and a needless SIGCONT swallows another's, as the kernel keeps but
   * one.
   */
  void follow(int signal) {
    heard = true;
    boolean changed = signal != stopSignal;
    stopSignal = signal;
    if (System.nanoTime() - askedNanos > ANSWER_NANOS) {
      unanswered = 0;
    }
    if (signal == 0) {
      if (unanswered == 0 && (stopped || told)) {
        send(SentSignal.SIGCONT);
      }
    } else if (changed && signal == SentSignal.SIGSTOP && unanswered > 0) {
      unanswered--;
    } else if (changed && !stopped) {
      sayStop();
    }
  }

  private void sayStop() {
    unseen = false;
    told = true;
    say("stop " + stopSignal);
  }

  /** Its watcher begins. */
  void watched() {
    unseen = true;
  }

  /** Its watcher tells that somebody sends it SIGSTOP; true where the real process is to stop. */
  boolean asked() {
    asked = true;
    askedNanos = System.nanoTime();
    unanswered++;
    unseen = false;
    return end == null;
  }

  /**
   * Its watcher tells that it stands; true where the real process is to stop, too.
   *
   * @param own whether it bears the mark of a stop that it was told, by this agent or a former one
   */
  boolean stopped(boolean own) {
    if (unseen) {
      asked = !own;
    }
    boolean forward = unseen && asked && stopSignal == 0 && end == null;
    stopped = true;
    told |= own;
    unseen = false;
    // What a former agent has told stays in force until the destination says otherwise.
    boolean known = heard || !own;
    if (end != null || (stopSignal == 0 && !asked && known)) {
      send(SentSignal.SIGCONT); // it was told to, and is late: the real process does not stand now
    }
    return forward;
  }

  /** Its watcher tells that it goes on. */
  void continued() {
    stopped = false;
    asked = false;
    told = false;
    unseen = false;
  }

  /** Ends as the real process did. May be called again. */
  void end(int waitStatus) {
    if (end == null) {
      end = waitStatus;
      sayEnd();
    }
  }

  private void sayEnd() {
    if ((end & 0x7f) == SentSignal.SIGKILL) {
      send(SentSignal.SIGKILL);
    } else {
      send(SentSignal.SIGCONT); // a stopped one hears nothing
      say("exit " + end);
    }
  }

  /** True once the real process has ended. */
  boolean isEnding() {
    return end != null;
  }

  private void say(String line) {
    if (channel != null) {
      channel.writeAndFlush(line + "\n");
    }
  }

  private void send(int number) {
    if (pidfd >= 0) {
      try {
        Linux.pidfdSendSignal(pidfd, number);
      } catch (IOException e) {
        gone(); // ESRCH: nothing else can fail
      }
    }
  }

  /** It has ended, or is not looked at any more. */
  void gone() {
    if (pidfd >= 0) {
      int closing = pidfd;
      pidfd = -1;
      Linux.closeQuietly(closing);
    }
  }

  /** True while it lives; one that only waits for its parent does not. */
  boolean alive() {
    send(0); // once it is reaped its PID may be another's
    if (pidfd >= 0 && Proc.info(pid).filter(process -> process.state() != 'Z').isEmpty()) {
      gone();
    }
    return pidfd >= 0;
  }
}
