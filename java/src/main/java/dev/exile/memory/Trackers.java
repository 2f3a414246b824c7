package dev.exile.memory;

import dev.exile.linux.Linux;
import dev.exile.linux.PagemapScan;
import dev.exile.linux.Userfault;
import dev.exile.shim.LineJob;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.Closeable;
import java.io.IOException;
import java.util.List;

/**
 * Attaches trackers of one kind to processes. What it needs inside of a process the shim's job
 * {@code track} does, see native/src/track.c.
 */
public final class Trackers implements Closeable {
  private final LineJob job;
  private final int pidfd;

  private Trackers(LineJob job, int pid) throws IOException {
    this.job = job;
    this.pidfd = Linux.pidfdOpen(pid);
  }

  /** Whether there is a kind of that name. */
  public static boolean isKnown(String name) {
    return Tracker.Kind.USERFAULTFD.toString().equals(name);
  }

  /** Those of the best kind that works here. */
  public static Trackers start(Shim shim) throws IOException {
    LineJob job = LineJob.start(shim, "track", List.of());
    try {
      return new Trackers(job, job.pid());
    } catch (IOException e) {
      job.close();
      throw e;
    }
  }

  /** Fails where that process cannot be tracked. */
  public void tryOut(int pid) throws IOException {
    track(pid).close();
  }

  /** A tracker of that process, which may run. */
  Tracker track(int pid) throws IOException {
    job.say("open " + pid);
    String answer = job.hear();
    if (answer == null || !answer.startsWith("opened ")) {
      throw new ShimException(
          "process %d cannot be tracked: %s".formatted(pid, answer == null ? "died" : answer));
    }
    int theirs = Integer.parseInt(answer.split(" ", -1)[2]);
    int fd = Linux.pidfdGetFd(pidfd, theirs);
    job.say("close " + theirs);
    job.hear();
    Userfault userfault = new Userfault(fd);
    try {
      return new UserfaultTracker(userfault, PagemapScan.of(pid));
    } catch (IOException e) {
      userfault.close();
      throw e;
    }
  }

  @Override
  public void close() throws IOException {
    job.close();
    Linux.close(pidfd);
  }
}
