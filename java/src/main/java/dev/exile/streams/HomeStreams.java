package dev.exile.streams;

import dev.exile.rpc.peer.Place;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.StreamPlan;
import dev.exile.rpc.peer.TerminalPlan;
import dev.exile.shim.Shim;
import dev.exile.sockets.HomeRelay;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Home's half of a migration's streams: the real ends, which the pump holds from the freeze on and
 * joins to the relay after COMMIT.
 */
public final class HomeStreams {
  /** The name of a terminal's stream, on all hosts. */
  static final String TERMINAL = "terminal";

  private final Shim shim;
  private final Path socket;
  private final List<StreamPlan> plans = new ArrayList<>();
  private final Map<String, Integer> far = new LinkedHashMap<>();
  private TerminalPlan terminal;
  private volatile Pump pump;

  /**
   * @param socket where the pump listens, so that the next agent finds it
   */
  public HomeStreams(Shim shim, Path socket) {
    this.shim = shim;
    this.socket = socket;
  }

  /** After the agent was started again: the pump that a former one has started, if any. */
  public void find() throws IOException {
    pump = Pump.find(socket).orElse(null);
  }

  /** Where the tree holds such ends, starts the pump: ahead of the freeze, to save its time. */
  public void prepare(List<Integer> pids, Collection<String> files) throws IOException {
    if (!StreamEnds.of(pids, files).all().isEmpty() || Terminal.of(pids) != null) {
      pump = Pump.start(shim, socket);
    }
  }

  /** Takes duplicates of all ends that the frozen processes hold. Nothing is read or written. */
  public void take(List<Integer> pids, Collection<String> files) throws IOException {
    for (StreamEnd end : StreamEnds.of(pids, files).all()) {
      Pump.Ends ends = pump().take(end);
      far.put(end.name(), ends.far());
      plans.add(
          StreamPlan.newBuilder()
              .setName(end.name())
              .setReads(end.reads())
              .setKey(end.key())
              .setSize(ends.other())
              .build());
    }
    takeTerminal(pids);
  }

  private Pump pump() throws IOException {
    if (pump == null) {
      pump = Pump.start(shim, socket);
    }
    return pump;
  }

  /** The same of the terminal that they use, if any. It is left as it is. */
  private void takeTerminal(List<Integer> pids) throws IOException {
    Terminal used = Terminal.of(pids);
    if (used != null) {
      far.put(TERMINAL, pump().terminal(TERMINAL, used, pids).far());
      terminal = used.plan(TERMINAL);
    }
  }

  /** Tells the destination which streams to give to the process. */
  public void describe(RestoreRequest.Builder request) {
    request.addAllStreams(plans);
    if (terminal != null) {
      request.setTerminal(terminal);
    }
  }

  /** Hands the wires to the relay. */
  public void adopt(HomeRelay relay) throws IOException {
    for (Map.Entry<String, Integer> wire : far.entrySet()) {
      relay.adoptWire(wire.getKey(), pump.duplicate(wire.getValue()));
    }
  }

  /** Fails where they would not go on after COMMIT. */
  public void check() throws IOException {
    if (pump != null) {
      pump.check();
    }
  }

  /** COMMIT has been acknowledged: bytes may move. */
  public void start() throws IOException {
    if (pump != null) {
      pump.start();
    }
  }

  /**
   * Waits until as much has come out here as the process has written, or until nothing more comes.
   *
   * @param written bytes by stream, as {@link DestinationStreams#written} tells
   * @param patience how long at most, and for how long nothing comes where nothing more does
   * @return false where more came all that time, and is still to come
   */
  public boolean awaitDelivered(Map<String, Long> written, Duration patience)
      throws IOException, InterruptedException {
    return pump == null || pump.awaitPassed(written, patience);
  }

  /**
   * The process has stopped or ended and its deputy is about to do so: gives its terminal back to
   * the shell, in the modes that the process has set.
   */
  public void release() throws IOException {
    if (pump != null) {
      pump.release();
    }
  }

  /**
   * A deputy was continued, by a shell maybe: the processes there are to know whether they are in
   * the background, where the terminal is not to be read, before they are continued.
   */
  public Place continued() throws IOException {
    String found = pump == null ? "none" : pump.look();
    return switch (found) {
      case "foreground" -> Place.FOREGROUND;
      case "background" -> Place.BACKGROUND;
      default -> Place.UNKNOWN;
    };
  }

  /**
   * Home's kernel has told the job that its window has another size: the terminal there is given
   * it, whose kernel tells the process.
   *
   * @return false where there is no terminal
   */
  public boolean resized() throws IOException {
    if (pump == null || !pump.status().containsKey(TERMINAL)) {
      return false;
    }
    pump.resized();
    return true;
  }

  /** Drops all: before COMMIT without a trace, later when the process has ended. */
  public void drop() throws IOException {
    // One whose start was interrupted, or that did not answer as it began, is known by its socket.
    Pump dropped = pump == null ? Pump.find(socket).orElse(null) : pump;
    if (dropped != null) {
      dropped.quit();
      pump = null;
    }
  }
}
