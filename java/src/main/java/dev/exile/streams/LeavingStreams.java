package dev.exile.streams;

import com.google.protobuf.ByteString;
import dev.exile.linux.Linux;
import dev.exile.linux.PipeView;
import dev.exile.process.Proc;
import dev.exile.rpc.peer.StreamPlan;
import dev.exile.sockets.Wire;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The streams of a process that leaves a host which is not its home. All of them are pipes there,
 * whatever they are at home. The process stands frozen and the pump is halted meanwhile; nothing is
 * taken out of a pipe or a socket.
 */
public final class LeavingStreams implements Closeable {
  private final Map<String, Wire> wires = new LinkedHashMap<>();
  private final Map<String, StreamPlan> plans = new LinkedHashMap<>();

  /** None. */
  LeavingStreams() {}

  /** Looks at all of them. */
  static LeavingStreams of(Pump pump, List<Integer> frozen) throws IOException {
    Set<String> held = new HashSet<>();
    OpenFile.of(frozen).stream().filter(OpenFile::isPipe).forEach(file -> held.add(file.target()));
    LeavingStreams leaving = new LeavingStreams();
    try {
      for (Map.Entry<String, Pump.Inner> stream : pump.inner().entrySet()) {
        if (stream.getValue().wire() >= 0) {
          leaving.look(pump, stream.getKey(), stream.getValue(), held);
        }
      }
      return leaving;
    } catch (IOException | RuntimeException e) {
      leaving.close();
      throw e;
    }
  }

  private void look(Pump pump, String name, Pump.Inner inner, Set<String> held) throws IOException {
    ByteString piped = ByteString.EMPTY;
    boolean joined = false;
    if (inner.real() >= 0) {
      String pipe =
          Proc.link(pump.pid(), "fd/" + inner.real())
              .orElseThrow(() -> new IOException("the pump has lost its end of " + name));
      joined = held.contains(pipe);
      piped =
          ByteString.copyFrom(
              PipeView.unread(Path.of("/proc/%d/fd/%d".formatted(pump.pid(), inner.real()))));
      plans.put(
          name,
          StreamPlan.newBuilder()
              .setName(name)
              .setReads(!inner.up())
              .setKey(pipe)
              .setSize(inner.size())
              .build());
    }
    wires.put(name, new Wire(pump.duplicate(inner.wire()), inner.up(), joined, piped));
  }

  /** Those that are not over, by name; their descriptors are this object's. */
  public Map<String, Wire> wires() {
    return Map.copyOf(wires);
  }

  /**
   * What the next host is to make. A pipe whose stream has ended is none of these: it is the
   * process's own by now, and CRIU carries it.
   *
   * @param written those that go on, and how many bytes the process has written so far
   */
  public List<StreamPlan> plans(Map<String, Long> written) {
    List<StreamPlan> going = new ArrayList<>();
    written.forEach(
        (name, bytes) -> going.add(plans.get(name).toBuilder().setMoved(bytes).build()));
    return going;
  }

  @Override
  public void close() {
    wires.values().forEach(wire -> Linux.closeQuietly(wire.fd()));
  }
}
