package dev.exile.cli;

import dev.exile.keys.CertificateAuthority;
import dev.exile.keys.HostNames;
import dev.exile.keys.KeysException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** {@code exile keys issue}. */
@Command(
    name = "issue",
    description = {
      "Issue one host's keys into DIR/HOST.",
      "Copy that directory to the host and name it as keys in the agent's configuration."
    })
final class KeysIssueCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Parameters(index = "0", paramLabel = "DIR", description = "The directory of the CA.")
  private Path dir;

  @Parameters(
      index = "1",
      paramLabel = "HOST",
      converter = HostConverter.class,
      description = "The host's name, as in the agents' configurations.")
  private String host;

  @Option(
      names = "--address",
      required = true,
      arity = "1..*",
      paramLabel = "IP",
      converter = AddressConverter.class,
      description = "The host's numeric address, IPv4 or IPv6; may be repeated.")
  private List<String> addresses;

  @Option(names = "--renew", description = "Replace the keys that the host has.")
  private boolean renew;

  @Override
  public Integer call() throws CliException {
    try {
      Path keys = CertificateAuthority.issue(dir, host, addresses, renew);
      spec.commandLine()
          .getOut()
          .println(
              "issued keys for " + host + " in " + keys + "; copy them to the host, mode 0600");
    } catch (KeysException e) {
      throw new CliException(ExitCode.FAILED, e.getMessage(), e);
    }
    return ExitCode.OK;
  }

  /** Refuses on the command line what cannot be a host's name. */
  static final class HostConverter implements ITypeConverter<String> {
    @Override
    public String convert(String value) {
      try {
        return HostNames.require(value);
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }

  /** Refuses on the command line what is no numeric address. */
  static final class AddressConverter implements ITypeConverter<String> {
    @Override
    public String convert(String value) {
      try {
        HostNames.requireAddress(value);
        return value;
      } catch (IllegalArgumentException e) {
        throw new TypeConversionException(e.getMessage());
      }
    }
  }
}
