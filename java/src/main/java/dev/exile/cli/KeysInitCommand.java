package dev.exile.cli;

import dev.exile.keys.CertificateAuthority;
import dev.exile.keys.KeysException;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code exile keys init}. */
@Command(
    name = "init",
    description = {
      "Make a certificate authority for a set of hosts.",
      "Keep its directory off the hosts: whoever has ca.key can pose as any of them."
    })
final class KeysInitCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "DIR", description = "A new or empty directory.")
  private Path dir;

  @Override
  public Integer call() throws CliException {
    try {
      CertificateAuthority.init(dir);
    } catch (KeysException e) {
      throw new CliException(ExitCode.FAILED, e.getMessage(), e);
    }
    spec.commandLine()
        .getOut()
        .println("made a CA in " + dir + "; next: exile keys issue " + dir + " HOST --address IP");
    return ExitCode.OK;
  }
}
