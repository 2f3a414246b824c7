package dev.exile.streams;

import dev.exile.rpc.peer.StreamPlan;
import dev.exile.shim.Shim;
import dev.exile.sockets.DestinationRelay;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The destination's half of a migration's streams: pipes in place of what stays at home, one end
 * for the restored process, the other joined to the relay by the pump.
 */
public final class DestinationStreams {
  /** Numbers that the shim's cell leaves to CRIU begin here, see native/src/criu.h. */
  private static final int FIRST_GIVEN = 64;

  private static final Logger LOG = LoggerFactory.getLogger(DestinationStreams.class);
  private static final long LOOK_AGAIN_MILLIS = 5;

  private final Shim shim;
  private final Path socket;
  private final Map<String, Integer> far = new LinkedHashMap<>();
  private final List<Gift> gifts = new ArrayList<>();
  private volatile Pump pump;

  /**
   * Something that CRIU is given.
   *
   * @param pid whose descriptor it is
   * @param fd its number there
   * @param number its number in CRIU
   * @param key what it stands for
   */
  public record Gift(int pid, int fd, int number, String key) {}

  /**
   * @param socket where the pump listens, so that the next agent finds it
   */
  public DestinationStreams(Shim shim, Path socket) {
    this.shim = shim;
    this.socket = socket;
  }

  /** After the agent was started again: the pump that a former one has started, if any. */
  public void find() throws IOException {
    pump = Pump.find(socket).orElse(null);
  }

  /** Makes the pipes. */
  public void make(List<StreamPlan> plans) throws IOException {
    for (StreamPlan plan : plans) {
      if (pump == null) {
        pump = Pump.start(shim, socket);
      }
      Pump.Ends ends = pump.make(plan.getName(), plan.getReads(), plan.getSize());
      far.put(plan.getName(), ends.far());
      gifts.add(new Gift(pump.pid(), ends.other(), FIRST_GIVEN + gifts.size(), plan.getKey()));
    }
  }

  /** What the cell is to take for CRIU, before {@link #start}. */
  public List<Gift> gifts() {
    return List.copyOf(gifts);
  }

  /** Hands the wires to the relay. */
  public void adopt(DestinationRelay relay) throws IOException {
    for (Map.Entry<String, Integer> wire : far.entrySet()) {
      relay.adopt(wire.getKey(), pump.duplicate(wire.getValue()));
    }
  }

  /** The cell has taken the process's ends and the relay its own: bytes may move. */
  public void start() throws IOException {
    if (pump != null) {
      pump.start();
    }
  }

  /**
   * The process has ended: waits until what it has written is on its way.
   *
   * @return bytes by stream, as much as that is by then
   */
  public Map<String, Long> written(Duration patience) throws IOException, InterruptedException {
    long deadline = System.nanoTime() + patience.toNanos();
    while (pump != null) {
      Map<String, Pump.Status> status = pump.status();
      status.values().removeIf(one -> !one.up());
      boolean waits = status.values().stream().anyMatch(one -> one.pending() > 0);
      if (!waits || System.nanoTime() > deadline) {
        Map<String, Long> written = new LinkedHashMap<>();
        status.forEach((name, one) -> written.put(name, one.bytes()));
        return written;
      }
      Thread.sleep(LOOK_AGAIN_MILLIS);
    }
    return Map.of();
  }

  /** Whether something may still be on its way. */
  public boolean open() {
    try {
      return pump != null && pump.status().values().stream().anyMatch(one -> !one.over());
    } catch (IOException e) {
      LOG.warn("what was on its way is lost: {}", e.getMessage());
      pump = null;
      return false;
    }
  }

  /** Drops all. */
  public void drop() throws IOException {
    if (pump != null) {
      pump.quit();
      pump = null;
    }
  }
}
