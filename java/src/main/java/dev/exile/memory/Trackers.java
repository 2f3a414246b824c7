package dev.exile.memory;

import dev.exile.linux.PagemapScan;
import dev.exile.linux.Userfault;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Attaches trackers of one kind to processes. */
public final class Trackers implements Closeable {
  private static final Logger LOG = LoggerFactory.getLogger(Trackers.class);

  private final TrackJob job;
  private final Tracker.Kind kind;

  private Trackers(TrackJob job, Tracker.Kind kind) {
    this.job = job;
    this.kind = kind;
  }

  /** Whether there is a kind of that name. */
  public static boolean isKnown(String name) {
    return Arrays.stream(Tracker.Kind.values()).anyMatch(kind -> kind.toString().equals(name));
  }

  /** The names of all kinds, for people. */
  public static String known() {
    return Arrays.stream(Tracker.Kind.values())
        .map(Tracker.Kind::toString)
        .collect(Collectors.joining(", "));
  }

  /**
   * Those of the best kind that works here.
   *
   * @param only the kind that is to be taken; empty: any
   * @param pid a process that is tried
   * @throws IOException where it cannot be tracked, with the reasons
   */
  public static Trackers start(Shim shim, String only, int pid) throws IOException {
    List<String> reasons = new ArrayList<>();
    TrackJob job = TrackJob.start(shim);
    try {
      for (Tracker.Kind kind : Tracker.Kind.values()) {
        if (only.isEmpty() || only.equals(kind.toString())) {
          Trackers trackers = new Trackers(job, kind);
          String reason = trackers.tryOut(pid);
          if (reason == null) {
            LOG.debug("process {} is tracked by {}", pid, kind);
            return trackers;
          }
          reasons.add(kind + ": " + reason);
        }
      }
      throw new ShimException(String.join("; ", reasons));
    } catch (IOException e) {
      job.close();
      throw e;
    }
  }

  /** Why it does not work; null: it does. */
  private String tryOut(int pid) {
    try {
      if (kind == Tracker.Kind.SOFT_DIRTY) {
        job.trySoftDirty();
        if (job.stand(pid)) {
          job.go(pid);
        }
      }
      track(pid).close();
      return null;
    } catch (IOException e) {
      return e.getMessage();
    }
  }

  /** A tracker of that process, which may run. */
  Tracker track(int pid) throws IOException {
    PagemapScan scan = PagemapScan.of(pid);
    try {
      return switch (kind) {
        case USERFAULTFD -> new UserfaultTracker(new Userfault(job.userfault(pid)), scan);
        case SOFT_DIRTY -> new SoftDirtyTracker(pid, job, scan);
      };
    } catch (IOException e) {
      scan.close();
      throw e;
    }
  }

  @Override
  public void close() throws IOException {
    job.close();
  }
}
