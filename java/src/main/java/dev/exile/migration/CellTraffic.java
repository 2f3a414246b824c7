package dev.exile.migration;

import dev.exile.linux.Errno;
import dev.exile.linux.Linux;
import dev.exile.process.Cell;
import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import dev.exile.rpc.peer.Observation;
import dev.exile.rpc.peer.Signal;
import dev.exile.rpc.peer.SignalBatch;
import dev.exile.rpc.peer.SignalReceipt;
import dev.exile.signals.Post;
import dev.exile.signals.SentSignal;
import dev.exile.streams.DestinationStreams;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What passes between the processes in the cell and their deputies at home while they run: signals
 * come in, stops and ends go home.
 *
 * <p>Home is told how things stand, not what happened: what is told twice, or late, does no harm.
 */
final class CellTraffic {
  private static final Logger LOG = LoggerFactory.getLogger(CellTraffic.class);

  private static final Duration OUTPUT_PATIENCE = Duration.ofSeconds(1);

  private static final long TELL_AGAIN_NANOS = TimeUnit.SECONDS.toNanos(2);

  private final Site site;
  private final Facts facts;
  private final PeerLink home;
  private final DestinationStreams streams;
  private final Path record;
  private final Set<Integer> ended = new TreeSet<>();
  private final Object telling = new Object();
  private Post post;

  /** The last signal that a whole job was told of, by the PID it was for; under its own lock. */
  private final Map<Integer, Long> toldJobs = new HashMap<>();

  /** What home knows; under {@link #telling}. */
  private Observation told;

  private long toldNanos;

  /** Under {@link #telling}. */
  private Output atStop = new Output();

  private Output atEnd = new Output();

  /** What the root had written by then: bytes per stream, null before that was looked at. */
  private static final class Output {
    private Map<String, Long> written;
    private boolean sent;
  }

  CellTraffic(Site site, Facts facts, PeerLink home, DestinationStreams streams) {
    this.site = site;
    this.facts = facts;
    this.home = home;
    this.streams = streams;
    record = site.run().resolve(facts.id + ".delivered");
  }

  /** The process runs, from now on or since a former agent's time. */
  void begin() {
    Post starting;
    synchronized (telling) { // what was counted while its streams stood still
      atStop = new Output();
      atEnd = new Output();
    }
    synchronized (this) {
      if (post != null) {
        return;
      }
      List<Integer> children = facts.members.stream().filter(pid -> pid != facts.pid).toList();
      post = new Post(site.shim(), facts.id, facts.cellInit, record, children, this::childEnded);
      starting = post;
    }
    try {
      starting.start();
    } catch (IOException e) {
      LOG.warn("{}: signals will be delivered later: {}", facts.id, e.getMessage());
    }
  }

  /**
   * What a former host has delivered, as {@link #halt} has told there.
   *
   * @param stopSignal what the root is stopped by; 0: it runs
   */
  void carryOn(byte[] delivered, int stopSignal) throws IOException {
    Files.write(record, delivered);
    facts.stopSignal = stopSignal;
  }

  /**
   * The process is about to leave: nothing is delivered to it any more.
   *
   * @return the record of what was
   */
  byte[] halt() throws IOException {
    Post leaving;
    synchronized (this) {
      leaving = post;
      post = null;
    }
    if (leaving != null) {
      leaving.leave();
    }
    return Files.exists(record) ? Files.readAllBytes(record) : new byte[0];
  }

  /** Home forwards signals. */
  SignalReceipt deliver(SignalBatch batch) throws IOException {
    Post carrier;
    synchronized (this) {
      carrier = post;
    }
    if (carrier == null) {
      throw new IOException("the process does not run here yet; send again");
    }
    List<SentSignal> signals = batch.getSignalsList().stream().map(CellTraffic::received).toList();
    try {
      streams.place(batch.getPlace());
    } catch (IOException e) {
      LOG.warn("{}: its terminal's stand-in is not told its place: {}", facts.id, e.getMessage());
    }
    Map<Integer, Integer> delivered = carrier.deliver(signals);
    Map<Integer, Integer> left = new HashMap<>(delivered);
    for (SentSignal signal : signals) {
      if (left.merge(signal.pid(), -1, Integer::sum) >= 0 && signal.isForJob() && isNew(signal)) {
        alsoTell(signal);
      }
    }
    return SignalReceipt.newBuilder().putAllDelivered(delivered).build();
  }

  /** Whether it does not come for a second time, which others than the one it is for would see. */
  private boolean isNew(SentSignal signal) {
    synchronized (toldJobs) {
      Long last = toldJobs.put(signal.pid(), signal.sequence());
      return last == null || last < signal.sequence();
    }
  }

  /**
   * A terminal and a shell signal a job by its process group. Those of the group who were born here
   * have no deputy that could be meant, so they are told along with the first who has one.
   */
  private void alsoTell(SentSignal signal) {
    Map<Integer, Integer> members = new Cell(facts.cellInit, facts.cellStartTicks).members();
    int group = group(members, signal.pid());
    if (group == 0
        || facts.members.stream().filter(pid -> group(members, pid) == group).findFirst().get()
            != signal.pid()) {
      return;
    }
    members.forEach(
        (inner, here) -> {
          if (!facts.members.contains(inner) && group(members, inner) == group) {
            signal(here, signal.number());
          }
        });
  }

  /** The process group of one in the cell as this host numbers it; 0 where it has ended. */
  private static int group(Map<Integer, Integer> members, int inner) {
    return Proc.info(members.getOrDefault(inner, 0)).map(ProcessInfo::group).orElse(0);
  }

  private static void signal(int pid, int number) {
    try {
      int pidfd = Linux.pidfdOpen(pid);
      try {
        Linux.pidfdSendSignal(pidfd, number);
      } finally {
        Linux.closeQuietly(pidfd);
      }
    } catch (Errno e) {
      LOG.debug("process {} has ended meanwhile: {}", pid, e.getMessage());
    }
  }

  private static SentSignal received(Signal signal) {
    return new SentSignal(
        signal.getPid(), signal.getSequence(), signal.getTid(), signal.getSiginfo(), false);
  }

  private void childEnded(int pid) {
    synchronized (ended) {
      ended.add(pid);
    }
    // Home is told by the next watch(): nobody there waits for it.
  }

  /** The root is stopped by this signal, or goes on (0). */
  void rootStopped(int signal) throws IOException {
    synchronized (telling) {
      facts.stopSignal = signal;
      atStop = new Output();
    }
    site.journal().save(facts);
    tellSoon();
  }

  /** The root has ended, as the facts tell. Home is told once its output is on its way. */
  void rootEnded() {
    tellSoon();
  }

  /**
   * Tells home how things stand, where it does not know that yet; else it is to be called again.
   */
  void tellSoon() {
    try {
      tell();
    } catch (IOException e) {
      LOG.debug("{}: home will be told later: {}", facts.id, e.getMessage());
    }
  }

  /** Whether home has not heard of the root's end yet, as it may still get some of its output. */
  boolean owesEnd() {
    synchronized (telling) {
      boolean wrote = atEnd.written == null || !atEnd.written.isEmpty();
      return facts.rootEnded && wrote && (told == null || !told.getRootEnded());
    }
  }

  private void tell() throws IOException {
    synchronized (telling) {
      Observation now = observation();
      // An agent at home that died as it heard of an end may not have passed it on.
      boolean again = facts.rootEnded && System.nanoTime() - toldNanos > TELL_AGAIN_NANOS;
      if (!now.equals(told) || again) {
        home.observe(now);
        told = now;
        toldNanos = System.nanoTime();
      }
    }
  }

  private Observation observation() throws IOException {
    Observation.Builder now = Observation.newBuilder().setId(facts.id);
    synchronized (ended) {
      now.addAllEndedPids(ended);
    }
    if (facts.rootEnded) {
      return now.setRootEnded(true)
          .setRootStatus(facts.waitStatus)
          .putAllWritten(written())
          .build();
    }
    if (facts.stopSignal != 0) {
      now.putAllWritten(written());
    }
    return now.setStopSignal(facts.stopSignal).build();
  }

  /**
   * What the root has written by its end or stop; whoever is first to ask waits for that.
   *
   * @throws IOException while more of it is on its way; to be asked again
   */
  private Map<String, Long> written() throws IOException {
    synchronized (telling) {
      Output output = facts.rootEnded ? atEnd : atStop;
      try {
        if (output.written == null) {
          output.written = streams.written();
        }
        output.sent = output.sent || streams.awaitSent(output.written, OUTPUT_PATIENCE);
      } catch (IOException e) {
        LOG.warn("{}: how much it has written is not known: {}", facts.id, e.getMessage());
        output.written = Map.of();
        output.sent = true;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      if (!output.sent) {
        throw new IOException("what it has written is still on its way");
      }
      return output.written;
    }
  }

  /** Goes on to watch for ends where post was killed; it tells of those that were missed. */
  void watch() throws IOException {
    Post watching;
    synchronized (this) {
      watching = post;
    }
    if (watching != null) {
      watching.start();
    }
  }

  /** All have ended. */
  void end() throws IOException {
    synchronized (this) {
      if (post != null) {
        post.close();
      }
    }
    Files.deleteIfExists(record);
  }
}
