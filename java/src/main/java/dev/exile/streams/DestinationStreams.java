package dev.exile.streams;

import dev.exile.rpc.peer.Place;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.StreamPlan;
import dev.exile.rpc.peer.TerminalPlan;
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

  private final Shim shim;
  private final Path socket;
  private final Map<String, Integer> far = new LinkedHashMap<>();
  private final List<String> cellOptions = new ArrayList<>();
  private final List<String> inherited = new ArrayList<>();
  private TerminalPlan terminal;
  private volatile Pump pump;

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
  public void make(RestoreRequest request) throws IOException {
    for (StreamPlan plan : request.getStreamsList()) {
      Pump.Ends ends =
          pump().make(plan.getName(), plan.getReads(), plan.getSize(), plan.getMoved());
      far.put(plan.getName(), ends.far());
      int number = inherit(plan.getKey());
      cellOptions.addAll(
          List.of("--give", "%d:%d:%d".formatted(pump().pid(), ends.other(), number)));
    }
    if (request.hasTerminal()) {
      seat(request.getTerminal());
    }
  }

  private void seat(TerminalPlan plan) {
    terminal = plan;
    cellOptions.add("--terminal");
    cellOptions.add(
        "%d:%d:%d:%o".formatted(plan.getIndex(), plan.getUid(), plan.getGid(), plan.getMode()));
    if (plan.getLeader()) {
      cellOptions.add("--leader");
    }
    for (String key : plan.getKeysList()) {
      cellOptions.addAll(List.of("--seat", Integer.toString(inherit(key))));
    }
  }

  private int inherit(String key) {
    int number = FIRST_GIVEN + inherited.size();
    inherited.add("fd[%d]:%s".formatted(number, key));
    return number;
  }

  private Pump pump() throws IOException {
    if (pump == null) {
      pump = Pump.start(shim, socket);
    }
    return pump;
  }

  /** What the shim's cell is to do for them, before {@link #start}. */
  public List<String> cellOptions() {
    return List.copyOf(cellOptions);
  }

  /** What CRIU then gives to the process, as its --inherit-fd takes it. */
  public List<String> inherited() {
    return List.copyOf(inherited);
  }

  /** The cell has been started; its init holds the terminal's master, if there is one. */
  public void join(int init, int master) throws IOException {
    if (terminal != null) {
      far.put(terminal.getName(), pump().join(terminal.getName(), init, master).far());
    }
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

  /** The job is about to be continued there, see {@link HomeStreams#continued}. */
  public void place(Place place) throws IOException {
    if (pump != null && place != Place.UNKNOWN) {
      pump.place(place == Place.BACKGROUND ? "background" : "foreground");
    }
  }

  /** The process is about to leave: no byte moves until the next {@link #start}. */
  public void halt() throws IOException {
    if (pump != null) {
      pump.halt();
    }
  }

  /** The frozen process leaves: what is to be taken along. To be halted before. */
  public LeavingStreams leave(List<Integer> frozen) throws IOException {
    return pump == null ? new LeavingStreams() : LeavingStreams.of(pump, frozen);
  }

  /** A duplicate of the near end of a stream's wire, the caller's to close. */
  public int wire(String name) throws IOException {
    Pump.Inner inner = pump == null ? null : pump.inner().get(name);
    if (inner == null || inner.wire() < 0) {
      throw new IOException("there is no stream " + name);
    }
    return pump.duplicate(inner.wire());
  }

  /** Whether a terminal is among them, and not hung up. */
  public boolean terminal() throws IOException {
    Pump.Status status = pump == null ? null : pump.status().get(HomeStreams.TERMINAL);
    return status != null && !status.over();
  }

  /** Fails where they would not go on after COMMIT. */
  public void check() throws IOException {
    if (pump != null) {
      pump.check();
    }
  }

  /** Bytes by stream that the process has written so far; some may not be on their way yet. */
  public Map<String, Long> written() throws IOException {
    Map<String, Long> written = new LinkedHashMap<>();
    if (pump != null) {
      pump.status()
          .forEach(
              (name, one) -> {
                if (one.up()) {
                  written.put(name, one.bytes() + one.pending());
                }
              });
    }
    return written;
  }

  /**
   * Waits until so much is on its way, or until nothing more goes.
   *
   * @param written bytes by stream
   * @param patience how long at most, and for how long nothing goes where nothing more does
   * @return false where some went all that time, and more is to go
   */
  public boolean awaitSent(Map<String, Long> written, Duration patience)
      throws IOException, InterruptedException {
    return pump == null || pump.awaitPassed(written, patience);
  }

  /** Whether something may still be on its way. */
  public boolean open() {
    try {
      if (pump == null) {
        find(); // it may not have answered when the agent was started
      }
      return pump != null && pump.status().values().stream().anyMatch(one -> !one.over());
    } catch (IOException e) {
      LOG.debug("what was on its way is lost, as the pump itself has told: {}", e.getMessage());
      return false;
    }
  }

  /** Drops all. */
  public void drop() throws IOException {
    // One whose start was interrupted, or that did not answer as it began, is known by its socket.
    Pump dropped = pump == null ? Pump.find(socket).orElse(null) : pump;
    if (dropped != null) {
      dropped.quit();
      pump = null;
    }
  }
}
