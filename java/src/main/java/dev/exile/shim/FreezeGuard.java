package dev.exile.shim;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The shim's job {@code freeze}: a small process that holds the freeze at home on the agent's
 * behalf. Should the agent die before COMMIT, its end of the pipe closes and the guard thaws the
 * process at once; nothing depends on the agent being started again.
 *
 * <p>Not thread-safe, but {@link #cancelDump} may be called from another thread.
 */
public final class FreezeGuard implements AutoCloseable {
  private final Process process;
  private final BufferedWriter commands;
  private final BufferedReader answers;

  private FreezeGuard(Process process) {
    this.process = process;
    this.commands = process.outputWriter(StandardCharsets.UTF_8);
    this.answers = process.inputReader(StandardCharsets.UTF_8);
  }

  /**
   * Starts a guard; nothing is frozen yet.
   *
   * @param cgroup the directory of the cgroup that holds the tree that is to be frozen
   * @param back where each process came from, to be moved back there when it is thawed
   * @param ipc whether the tree uses SysV IPC, which the dump then has to see from outside
   * @param veil tells what of its memory the dump is not to look at; may be written later
   * @param dump the command that {@link #dump} will run
   */
  public static FreezeGuard start(
      Shim shim, Path cgroup, Map<Integer, Path> back, boolean ipc, Path veil, List<String> dump)
      throws IOException {
    List<String> arguments =
        new ArrayList<>(List.of("--cgroup", cgroup.toString(), "--veil", veil.toString()));
    back.forEach(
        (pid, origin) -> {
          arguments.add("--back");
          arguments.add(pid + "=" + origin);
        });
    if (ipc) {
      arguments.add("--ipc");
    }
    arguments.add("--");
    arguments.addAll(dump);
    return new FreezeGuard(
        new ProcessBuilder(shim.job("freeze", arguments))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start());
  }

  /**
   * Starts a guard for a tree in a cell, whose cgroup it keeps when it is thawed.
   *
   * @param init the cell's init
   * @param ipc whether the tree uses SysV IPC
   */
  public static FreezeGuard inCell(Shim shim, Path cgroup, int init, boolean ipc, List<String> dump)
      throws IOException {
    List<String> arguments =
        new ArrayList<>(List.of("--cgroup", cgroup.toString(), "--cell", Integer.toString(init)));
    if (ipc) {
      arguments.add("--ipc");
    }
    arguments.add("--");
    arguments.addAll(dump);
    return new FreezeGuard(
        new ProcessBuilder(shim.job("freeze", arguments))
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start());
  }

  /** Freezes; returns when every thread stands still, after some tens of microseconds mostly. */
  public void freeze() throws IOException {
    ask("freeze", "frozen");
  }

  /**
   * Runs the dump.
   *
   * @throws ShimException where CRIU fails; the tree is still frozen and unharmed then
   */
  public void dump() throws IOException {
    ask("dump", "dumped");
  }

  /** Ends a running {@link #dump}, which then fails. */
  public void cancelDump() throws IOException {
    synchronized (commands) {
      commands.write("cancel\n");
      commands.flush();
    }
  }

  /** From now on the journal alone decides: the guard no longer thaws when the agent dies. */
  public void hold() throws IOException {
    ask("hold", "held");
  }

  /** Thaws, moves every process back to its own cgroup, removes ours; the guard ends. */
  public void thaw() throws IOException {
    ask("thaw", "thawed");
  }

  private void ask(String command, String expected) throws IOException {
    synchronized (commands) {
      commands.write(command + "\n");
      commands.flush();
    }
    String answer = answers.readLine();
    if (answer == null) {
      throw new ShimException("the guard of the frozen process has died at '" + command + "'");
    }
    if (!answer.startsWith(expected)) {
      throw new ShimException(answer);
    }
  }

  /** Lets go of the guard: held, it ends and leaves the tree frozen; else it thaws. */
  @Override
  public void close() throws IOException {
    try {
      commands.close();
    } catch (IOException e) {
      if (process.isAlive()) {
        throw e;
      }
    }
    answers.close();
  }
}
