package dev.exile.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class UsageTest {
  @TempDir private Path temp;

  @ParameterizedTest
  @CsvSource(
      delimiter = '@',
      value = {
        "'' @ a command is missing; see exile --help",
        "keys @ a command is missing: init or issue; see exile keys --help",
        "fly @ unmatched argument at index 0: 'fly'; see exile --help",
        "migrate --to b @ missing required parameter: 'PID|NAME'; see exile migrate --help",
        "migrate 1 @ missing required option: '--to=HOST'; see exile migrate --help",
        "migrate 1 --to @ missing required parameter for option '--to' (HOST); see exile migrate --help",
        "migrate 1 2 --to b @ unmatched argument at index 2: '2'; see exile migrate --help",
        "migrate 1 --to b --fast @ unknown option: '--fast'; see exile migrate --help",
        "check 1 @ missing required option: '--to=HOST'; see exile check --help",
        "check --to b @ missing required parameter: 'PID|NAME'; see exile check --help",
        "cancel @ missing required parameter: 'ID'; see exile cancel --help",
        "show @ missing required parameter: 'ID'; see exile show --help",
        "ps x @ unmatched argument at index 1: 'x'; see exile ps --help",
        "agent @ missing required option: '--config=FILE'; see exile agent --help",
        "keys init @ missing required parameter: 'DIR'; see exile keys init --help",
        "keys issue d a @ missing required option: '--address=IP'; see exile keys issue --help",
        "keys issue d a --address x @ invalid value for option '--address' at index 0 (IP): 'x' is no numeric IPv4 or IPv6 address; see exile keys issue --help",
        "keys issue d a_ --address ::1 @ invalid value for positional parameter at index 1 (HOST): 'a_' is no host name: use letters, digits and hyphens, in parts joined by dots; see exile keys issue --help",
      })
  void aUsageErrorIsOneLineAndExitCode2(String args, String line) {
    Cli cli = Cli.run(args.isBlank() ? new String[0] : args.split(" ", -1));

    assertEquals("exile: " + line + System.lineSeparator(), cli.err());
    assertEquals("", cli.out());
    assertEquals(ExitCode.USAGE, cli.exitCode());
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate 1 --to b", "check 1 --to b", "ps", "show m1", "cancel m1"})
  void anUnknownOutputFormatIsAUsageError(String args) {
    Cli cli = Cli.run((args + " -o xml").split(" ", -1));

    assertEquals(
        "exile: invalid value for option '--output': expected one of [text, json]"
            + " (case-insensitive) but was 'xml'; see exile "
            + args.split(" ", -1)[0]
            + " --help\n",
        cli.err());
    assertEquals(ExitCode.USAGE, cli.exitCode());
  }

  @ParameterizedTest
  @ValueSource(strings = {"migrate 1 --to b", "check 1 --to b", "ps", "show m1", "cancel m1"})
  void withoutAnAgentEachCommandNamesTheSocketAndWhatToDo(String args) {
    Path socket = temp.resolve("agent.sock");
    Cli cli = Cli.run((args + " --socket " + socket).split(" ", -1));

    assertEquals(
        "exile: no agent on this host: "
            + socket
            + " is missing; start one with systemctl start exile-agent or exile agent --config"
            + " FILE\n",
        cli.err());
    assertEquals("", cli.out());
    assertEquals(ExitCode.FAILED, cli.exitCode());
  }

  @Test
  void aSocketThatAnAgentLeftBehindIsTold() throws IOException {
    Path socket = temp.resolve("agent.sock");
    ServerSocketChannel.open(StandardProtocolFamily.UNIX)
        .bind(UnixDomainSocketAddress.of(socket))
        .close();
    assertTrue(Files.exists(socket));

    Cli cli = Cli.run("ps", "--socket", socket.toString());

    assertEquals(
        "exile: no agent answers at "
            + socket
            + " (Connection refused); start one with systemctl start exile-agent or exile agent"
            + " --config FILE\n",
        cli.err());
    assertEquals(ExitCode.FAILED, cli.exitCode());
  }

  @Test
  void everyProblemOfAConfigurationIsALineAndExitCode2() throws IOException {
    Path file = temp.resolve("agent.yaml");
    Files.writeString(file, "name: a_\nfoo: 1\naddress: 10.0.0.1\n");
    Cli cli = Cli.run("agent", "--config", file.toString());

    assertEquals(3, cli.errLines().size(), cli.err());
    assertTrue(
        cli.errLines().stream().allMatch(line -> line.startsWith("exile: " + file)), cli.err());
    assertEquals(ExitCode.USAGE, cli.exitCode());
  }

  @Test
  void keysAreMadeAndASecondTimeRefusedWithExitCode1() {
    String ca = temp.resolve("ca").toString();

    assertEquals(ExitCode.OK, Cli.run("keys", "init", ca).exitCode());
    String[] issue = {"keys", "issue", ca, "a", "--address", "10.0.0.1", "fd00::1"};
    assertEquals(ExitCode.OK, Cli.run(issue).exitCode());
    assertTrue(Files.exists(temp.resolve("ca/a/host.key")));

    Cli again = Cli.run(issue);
    assertEquals(
        "exile: " + ca + "/a exists: add --renew to replace the keys in it\n", again.err());
    assertEquals(ExitCode.FAILED, again.exitCode());
  }

  @Test
  void aStackTraceIsShownOnlyWhenAskedFor() {
    String missing = temp.resolve("none").toString();

    assertEquals(1, Cli.run("ps", "--socket", missing).errLines().size());
    Cli verbose = Cli.run("ps", "--verbose", "--socket", missing);
    assertTrue(verbose.err().contains("\tat dev.exile.cli."), verbose.err());
  }

  @Test
  void helpAndVersionGoToStandardOutput() {
    Cli help = Cli.run("migrate", "--help");
    assertTrue(help.out().startsWith("Usage: exile migrate "), help.out());
    assertEquals(ExitCode.OK, help.exitCode());

    Cli version = Cli.run("--version");
    assertTrue(version.out().startsWith("exile "), version.out());
    assertEquals(ExitCode.OK, version.exitCode());
  }

  @Test
  void theCompletionScriptKnowsTheCommandsAndIsReadByBash() throws Exception {
    Cli cli = Cli.run("completion");
    assertTrue(cli.out().contains("migrate"), cli.out());

    Path script = Files.writeString(temp.resolve("completion"), cli.out());
    Process bash = new ProcessBuilder("bash", "-n", script.toString()).inheritIO().start();
    assertEquals(0, bash.waitFor());
  }
}
