package dev.exile.criu;

import java.io.IOException;
import java.lang.module.ModuleDescriptor.Version;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * All that Exile knows of CRIU's command line: how it is called, what its log says. CRIU itself is
 * started by the shim (the freezer's guard at home, the cell at the destination).
 *
 * @param executable the program, absolute
 * @param version as {@code criu --version} tells it, such as 4.2.1
 */
public record Criu(Path executable, String version) {
  /** Deleted files up to this size travel inside the images, in bytes. */
  public static final long GHOST_LIMIT = 64L << 20;

  private static final Pattern VERSION_LINE = Pattern.compile("Version:\\s*(\\S+)");

  /** Logged as an error wherever CRIU lacks CAP_SYS_RESOURCE, and without consequence. */
  private static final String HARMLESS = "rlimit: Can't setup RLIMIT_NOFILE for self";

  private static final Pattern LOG_ERROR = Pattern.compile("^\\([0-9.]+\\)\\s*(?:\\d+:\\s*)?(.*)$");

  /**
   * Finds out whether this CRIU can work on the running kernel.
   *
   * @throws IOException with CRIU's own words where it cannot
   */
  public static Criu probe(Path executable) throws IOException {
    if (!Files.isExecutable(executable)) {
      throw new IOException("there is no CRIU at " + executable + "; run scripts/setup");
    }
    Matcher version = VERSION_LINE.matcher(run(executable, "--version"));
    if (!version.find()) {
      throw new IOException(executable + " --version does not tell a version of CRIU");
    }
    run(executable, "check");
    return new Criu(executable, version.group(1));
  }

  private static String run(Path executable, String argument) throws IOException {
    Process process =
        new ProcessBuilder(executable.toString(), argument).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    try {
      if (!process.waitFor(30, TimeUnit.SECONDS)) {
        process.destroyForcibly();
        throw new IOException(executable + " " + argument + " did not end within 30 s");
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while " + executable + " " + argument + " ran", e);
    }
    if (process.exitValue() != 0) {
      throw new IOException(
          "'%s %s' ended with %d: %s"
              .formatted(executable, argument, process.exitValue(), lastLine(said)));
    }
    return said;
  }

  private static String lastLine(String text) {
    return text.strip().lines().reduce("no output", (first, second) -> second);
  }

  /**
   * The command that writes images of a tree that stands frozen in {@code cgroup}. It leaves it
   * frozen, touches none of its TCP connections, and sends it no signal.
   *
   * @param shellJob whether the tree's session leader lives outside of the tree, or its terminal's
   *     other side does
   * @param links whether it may give files another name for a while whose own is gone
   * @param external what is given to the tree at the restore instead, as --external names it
   */
  public List<String> dump(
      int pid,
      Path images,
      Path log,
      Path cgroup,
      boolean shellJob,
      boolean links,
      List<String> external) {
    List<String> command = common("dump", images, log, shellJob);
    command.addAll(
        List.of(
            "--tree",
            Integer.toString(pid),
            "--freeze-cgroup",
            cgroup.toString(),
            "--leave-running",
            "--network-lock",
            "skip",
            "--skip-in-flight",
            "--ghost-limit",
            Long.toString(GHOST_LIMIT)));
    if (links) {
      command.add("--link-remap");
    }
    external.forEach(one -> command.addAll(List.of("--external", one)));
    return command;
  }

  /**
   * The command that restores images up to the hook and, once the hook lets it, ends while the tree
   * lives on.
   *
   * @param lazy whether private memory is left to who listens at lazy-pages.socket in {@code
   *     images}
   * @param inherited descriptors of CRIU that it gives to the tree, as --inherit-fd takes them
   */
  public List<String> restore(
      Path images, Path log, Path hook, boolean shellJob, boolean lazy, List<String> inherited) {
    List<String> command = common("restore", images, log, shellJob);
    command.addAll(List.of("--restore-detached", "--action-script", hook.toString()));
    if (lazy) {
      command.add("--lazy-pages");
    }
    inherited.forEach(one -> command.addAll(List.of("--inherit-fd", one)));
    return command;
  }

  private List<String> common(String action, Path images, Path log, boolean shellJob) {
    List<String> command =
        new ArrayList<>(
            List.of(
                executable.toString(),
                action,
                "--images-dir",
                images.toString(),
                "--log-file",
                log.toString(),
                "-v2",
                "--tcp-close",
                "--file-locks",
                "--ext-unix-sk",
                "--manage-cgroups=ignore"));
    if (shellJob) {
      command.add("--shell-job");
    }
    return command;
  }

  /**
   * The line of a CRIU log that tells best what went wrong: the first error, as later ones mostly
   * follow from it.
   */
  public static String errorLine(Path log) {
    try (Stream<String> lines = Files.lines(log, StandardCharsets.ISO_8859_1)) {
      return lines
          .filter(line -> line.contains("Error (") && !line.contains(HARMLESS))
          .findFirst()
          .map(
              line -> {
                Matcher matcher = LOG_ERROR.matcher(line);
                return matcher.matches() ? matcher.group(1).strip() : line.strip();
              })
          .orElse("CRIU logged no error");
    } catch (IOException e) {
      return "CRIU left no log";
    }
  }

  /** True where images written by {@code other} may be newer than what this version reads. */
  public boolean olderThan(String other) {
    return Version.parse(version).compareTo(Version.parse(other)) < 0;
  }
}
