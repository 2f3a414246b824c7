package dev.exile.memory;

import dev.exile.linux.Linux;
import dev.exile.shim.LineJob;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.Closeable;
import java.io.IOException;
import java.util.List;

/** The shim's job {@code track}, see native/src/track.c. One thread at a time. */
final class TrackJob implements Closeable {
  private final LineJob job;
  private final int pidfd;

  private TrackJob(LineJob job) throws IOException {
    this.job = job;
    this.pidfd = Linux.pidfdOpen(job.pid());
  }

  static TrackJob start(Shim shim) throws IOException {
    LineJob job = LineJob.start(shim, "track", List.of());
    try {
      return new TrackJob(job);
    } catch (IOException e) {
      job.close();
      throw e;
    }
  }

  /** A fresh userfaultfd for the memory of that process. */
  int userfault(int pid) throws IOException {
    int theirs = Integer.parseInt(expect(ask("open " + pid), "opened", pid)[2]);
    int fd = Linux.pidfdGetFd(pidfd, theirs);
    ask("close " + theirs);
    return fd;
  }

  /** Fails where this kernel has no soft-dirty bits. */
  void trySoftDirty() throws IOException {
    String answer = ask("try");
    if (!answer.equals("works")) {
      throw new ShimException(answer.replaceFirst("error 0 ", ""));
    }
  }

  /**
   * All threads of the process stand until {@link #go}; false: one of them does not, and all run.
   */
  boolean stand(int pid) throws IOException {
    String answer = ask("stand " + pid);
    return !answer.startsWith("busy ") && expect(answer, "stands", pid).length > 0;
  }

  /** They go on; false: they have gone on before. */
  boolean go(int pid) throws IOException {
    return ask("go " + pid).startsWith("went ");
  }

  private static String[] expect(String answer, String word, int pid) throws ShimException {
    if (!answer.startsWith(word + " ")) {
      throw new ShimException("process %d cannot be tracked: %s".formatted(pid, answer));
    }
    return answer.split(" ", -1);
  }

  private String ask(String line) throws IOException {
    job.say(line);
    String answer = job.hear();
    if (answer == null) {
      throw new ShimException("the job that tracks has died");
    }
    return answer;
  }

  @Override
  public void close() throws IOException {
    job.close();
    Linux.close(pidfd);
  }
}
