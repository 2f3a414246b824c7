package dev.exile.shim;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;

/**
 * The native program, extracted from the jar.
 *
 * @param program the shim itself
 * @param hook the same program under the name by which it acts as CRIU's action script: CRIU calls
 *     a script without arguments
 */
public record Shim(Path program, Path hook) {

  /**
   * Extracts the shim to the first of these directories that programs can be executed in (/run may
   * be mounted noexec). Anybody may enter the directory and execute the shim, as deputies do, but
   * not list it. An older one is replaced by renaming, so that cells which still run it keep
   * theirs.
   */
  public static Shim extract(Path... directories) throws IOException {
    IOException failure = null;
    for (Path directory : directories) {
      Shim shim = extract(directory);
      try {
        shim.tryOut();
        return shim;
      } catch (IOException e) {
        failure = e;
      }
    }
    throw failure;
  }

  private void tryOut() throws IOException {
    Process process =
        new ProcessBuilder(program.toString())
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    process.onExit().join();
  }

  private static Shim extract(Path directory) throws IOException {
    Files.createDirectories(directory);
    Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwx--x--x"));
    // Which the shim has CRIU wear, and looks for beside itself.
    extract(directory, "exile-veil.so");
    Path program = extract(directory, "exile-shim");
    Path hook = directory.resolve("exile-hook");
    Files.deleteIfExists(hook);
    Files.createSymbolicLink(hook, program.getFileName());
    return new Shim(program, hook);
  }

  private static Path extract(Path directory, String name) throws IOException {
    Path file = directory.resolve(name);
    Path aside = directory.resolve(name + ".new");
    try (InputStream in = Shim.class.getResourceAsStream("/native/" + name)) {
      if (in == null) {
        throw new IOException("this build of Exile holds no " + name + "; run scripts/build");
      }
      Files.copy(in, aside, StandardCopyOption.REPLACE_EXISTING);
    }
    Files.setPosixFilePermissions(aside, PosixFilePermissions.fromString("rwxr-xr-x"));
    Files.move(aside, file, StandardCopyOption.ATOMIC_MOVE);
    return file;
  }

  /** The command line of one of the shim's jobs. */
  public List<String> job(String job, List<String> arguments) {
    List<String> command = new ArrayList<>();
    command.add(program.toString());
    command.add(job);
    command.addAll(arguments);
    return command;
  }

  /**
   * Gives the threads of a frozen tree back what the kernel had for those waits that CRIU has
   * turned into repetitions: a handler that is pending then interrupts them. See
   * native/src/settle.h.
   *
   * @param waits timed waits to be begun again, see native/src/waits.h, as TID:NUMBER:NANOSECONDS
   */
  public void settle(Path cgroup, List<String> waits) throws IOException {
    List<String> arguments = new ArrayList<>(List.of("--cgroup", cgroup.toString()));
    arguments.addAll(waits);
    try (LineJob job = LineJob.start(this, "settle", arguments)) {
      String answer = job.hear();
      if (!"settled".equals(answer)) {
        throw new ShimException(answer == null ? "settle has died" : answer);
      }
    }
  }
}
