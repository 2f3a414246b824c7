package dev.exile.process;

import dev.exile.linux.Linux;
import dev.exile.shim.Shim;
import dev.exile.shim.ShimException;
import java.io.Closeable;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * A cell: the fresh PID and mount namespace in which a process is restored under its old PID, held
 * by the shim as its init.
 *
 * @param init PID of the cell's init as this host numbers it
 * @param startTicks the init's start time, which tells it from a later process of that PID
 */
public record Cell(int init, long startTicks) {
  private static final int START_SECONDS = 10;

  /**
   * A cell that has just been started.
   *
   * @param life open as long as the agent lives: where it ends before the tree is restored, the
   *     cell ends too
   * @param master the init's descriptor for the master of the cell's terminal; -1 for none
   * @param ownClocks whether its clocks are those that were asked for
   */
  public record Started(Cell cell, Closeable life, int master, boolean ownClocks) {}

  /**
   * Starts a cell that runs {@code restore} inside.
   *
   * @param lifeline where a FIFO may be made; it is removed again at once
   * @param socket where hook and init report to the agent, see {@link CellServer}
   * @param root PID of the process to be restored
   * @param firstPid PIDs of CRIU and of the hook begin here, clear of those to be restored
   * @param orphaned whether the root's process group is, see {@link ProcessTree#isOrphaned}
   * @param options further options of the shim's job {@code cell}
   */
  public static Started start(
      Shim shim,
      String id,
      Path lifeline,
      Path socket,
      int root,
      int firstPid,
      boolean orphaned,
      List<String> options,
      List<String> restore)
      throws IOException {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--id",
                id,
                "--socket",
                socket.toString(),
                "--root",
                Integer.toString(root),
                "--first-pid",
                Integer.toString(firstPid)));
    if (orphaned) {
      arguments.add("--orphaned");
    }
    arguments.addAll(options);
    arguments.add("--");
    arguments.addAll(restore);
    // Not the child's own standard input: the JDK closes that pipe when the direct child exits, and
    // the starter exits at once. Opened for both directions, a FIFO blocks nobody.
    Linux.makeFifo(lifeline);
    RandomAccessFile life = new RandomAccessFile(lifeline.toFile(), "rw");
    String answer;
    try {
      Process process =
          new ProcessBuilder(shim.job("cell", arguments))
              .redirectInput(lifeline.toFile())
              .redirectError(ProcessBuilder.Redirect.DISCARD)
              .start();
      if (!process.waitFor(START_SECONDS, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new ShimException("the cell did not start within " + START_SECONDS + " s");
      }
      answer = process.inputReader(StandardCharsets.UTF_8).readLine();
    } catch (IOException e) {
      life.close();
      throw e;
    } catch (InterruptedException e) {
      life.close();
      Thread.currentThread().interrupt();
      throw new ShimException("interrupted while the cell was started");
    } finally {
      Files.delete(lifeline);
    }
    if (answer == null || !answer.startsWith("cell ")) {
      life.close();
      throw new ShimException(answer == null ? "the cell did not start" : answer);
    }
    String[] words = answer.trim().split(" ", -1);
    int init = Integer.parseInt(words[1]);
    boolean ownClocks = !words[words.length - 1].equals("noclocks");
    boolean seated = words.length > (ownClocks ? 2 : 3);
    int master = seated ? Integer.parseInt(words[2]) : -1;
    long start =
        Proc.info(init)
            .map(ProcessInfo::startTicks)
            .orElseThrow(() -> new ShimException("the cell has ended at once"));
    return new Started(new Cell(init, start), life, master, ownClocks);
  }

  /** True while the init runs. */
  public boolean alive() {
    Optional<ProcessInfo> info = Proc.info(init);
    return info.isPresent() && info.get().startTicks() == startTicks && info.get().state() != 'Z';
  }

  /**
   * Kills everything in the cell, its init last: as the kernel ends an init it closes what that has
   * before it kills the others, and what it holds for them (native/src/hold.h) they need until
   * their own ends.
   */
  public void end() {
    for (int pid : members().values()) {
      ProcessHandle.of(pid).ifPresent(ProcessHandle::destroyForcibly);
    }
    kill();
  }

  /** Kills the init and with it everything in the cell. */
  public void kill() {
    if (alive()) {
      ProcessHandle.of(init).ifPresent(ProcessHandle::destroyForcibly);
    }
  }

  /**
   * The processes in the cell, without its init.
   *
   * @return their PIDs on this host by their PIDs in the cell
   */
  public Map<Integer, Integer> members() {
    Map<Integer, Integer> members = new HashMap<>();
    String namespace = Proc.link(init, "ns/pid").orElse("");
    for (ProcessInfo process : Proc.all()) {
      if (process.pid() != init
          && Proc.link(process.pid(), "ns/pid").orElse("none").equals(namespace)) {
        List<Integer> pids = Proc.namespacePids(process.pid());
        if (!pids.isEmpty()) {
          members.put(pids.get(pids.size() - 1), process.pid());
        }
      }
    }
    return members;
  }
}
