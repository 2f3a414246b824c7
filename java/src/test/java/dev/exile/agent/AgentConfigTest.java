package dev.exile.agent;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.keys.CertificateAuthority;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AgentConfigTest {
  @TempDir private Path temp;
  private Path file;

  @BeforeEach
  void issueKeys() throws Exception {
    CertificateAuthority.init(temp.resolve("ca"));
    CertificateAuthority.issue(temp.resolve("ca"), "a", List.of("10.0.0.1"), false);
    file = temp.resolve("agent.yaml");
  }

  private AgentConfig load(String... lines) throws Exception {
    Files.write(file, List.of(lines));
    return AgentConfig.load(file);
  }

  private List<String> problems(String... lines) {
    return assertThrows(ConfigException.class, () -> load(lines)).problems();
  }

  @Test
  void theLeastConfigurationGetsDefaults() throws Exception {
    AgentConfig config = load("name: a", "address: 10.0.0.1", "keys: ca/a");

    assertEquals("a", config.name());
    assertEquals("10.0.0.1", config.address());
    assertEquals(7433, config.port());
    assertEquals(Path.of("/run/exile"), config.run());
    assertEquals(Path.of("/run/exile/images"), config.images());
    assertEquals(Path.of("/run/exile/agent.sock"), config.socket());
    assertEquals(temp.resolve("ca/a"), config.keys(), "relative to the file");
    assertEquals(Map.of(), config.peers());
    assertEquals("a", config.identity().name());
  }

  @Test
  void everyKeyIsRead() throws Exception {
    AgentConfig config =
        load(
            "# all of them",
            "name: a",
            "address: fd00::1",
            "port: 7000",
            "keys: " + temp.resolve("ca/a"),
            "run: /tmp/exile-run",
            "criu: /bin/true",
            "images: /var/tmp/images",
            "peers:",
            "  b: 10.0.0.2",
            "  c: 10.0.0.3:7100",
            "  d: fd00::4",
            "  e: \"[fd00::5]:7200\"");

    assertEquals(7000, config.port());
    assertEquals(Path.of("/bin/true"), config.criu());
    assertEquals(Path.of("/tmp/exile-run/agent.sock"), config.socket());
    assertEquals(Path.of("/var/tmp/images"), config.images());
    assertEquals(
        Map.of(
            "b", new HostPort("10.0.0.2", 7433),
            "c", new HostPort("10.0.0.3", 7100),
            "d", new HostPort("fd00::4", 7433),
            "e", new HostPort("fd00::5", 7200)),
        config.peers());
    assertEquals(List.of("b", "c", "d", "e"), List.copyOf(config.peers().keySet()));
    assertEquals("[fd00::5]:7200", config.peers().get("e").toString());
    assertEquals(7201, config.peers().get("e").carrier().getPort());
  }

  @Test
  void oneListOfPeersServesEveryHostSoItsOwnNameIsLeftOut() throws Exception {
    AgentConfig config =
        load(
            "name: a",
            "address: 10.0.0.1",
            "keys: ca/a",
            "peers:",
            "  a: 10.0.0.1",
            "  b: 10.0.0.2");

    assertEquals(List.of("b"), List.copyOf(config.peers().keySet()));
  }

  @Test
  void everyProblemIsToldAtOnceWithItsLine() throws Exception {
    Path plain = Files.createFile(temp.resolve("plain"));
    List<String> problems =
        problems(
            "nmae: a",
            "address: 10.0.0.300",
            "keys: nowhere",
            "port: 65535",
            "criu: plain",
            "peers:",
            "  b_: 10.0.0.2",
            "  c: somewhere",
            "  d: 10.0.0.4:x",
            "  e:");

    assertEquals(
        List.of(
            file + ": key 'name' is missing: add name: this host's name, as in its certificate",
            file
                + ":1: nmae: unknown key; the keys are name, address, port, keys, run, peers, criu,"
                + " images",
            file + ":2: address: '10.0.0.300' is no numeric IPv4 or IPv6 address",
            file
                + ":3: keys: "
                + temp.resolve("nowhere")
                + " is missing: make it with exile keys issue, and copy it to this host",
            file
                + ":4: port: '65535' is no port: use 1 to 65534 (the carrier listens on the next"
                + " one)",
            file
                + ":5: criu: "
                + plain
                + " is no program: correct the path, or leave the key out for"
                + " the default",
            file
                + ":7: b_: 'b_' is no host name: use letters, digits and hyphens, in parts joined by"
                + " dots",
            file + ":8: c: 'somewhere' is no numeric IPv4 or IPv6 address",
            file + ":9: d: 'x' is no port: use 1 to 65534 (the carrier listens on the next one)",
            file + ":10: e: has no value"),
        problems);
  }

  @Test
  void anotherNameThanInTheCertificateIsRefused() {
    assertEquals(
        List.of(
            file
                + ":1: name: 'b' is not the name in the certificate, 'a': correct it, or issue keys"
                + " for b"),
        problems("name: b", "address: 10.0.0.1", "keys: ca/a"));
  }

  @Test
  void aKeyThatStandsTwiceIsRefused() {
    List<String> problems = problems("name: a", "address: 10.0.0.1", "keys: ca/a", "name: a");

    assertEquals(1, problems.size(), problems.toString());
    assertTrue(problems.get(0).startsWith(file + ":4: "), problems.toString());
  }

  @ParameterizedTest
  @CsvSource({
    "'%a: b', 'is no YAML'",
    "'- a', 'must be a map'",
    "'just words', 'must be a map'",
    "'peers: [b]', 'must not be a list'",
    "'port: {a: 1}', 'must be a single value'",
    "'peers: b', 'must be a map of NAME: ADDRESS'",
    "'', 'is missing'"
  })
  void otherShapesAreRefusedWithWords(String text, String words) {
    List<String> problems = problems(text);

    assertTrue(problems.stream().anyMatch(p -> p.contains(words)), problems.toString());
    assertTrue(problems.stream().allMatch(p -> p.startsWith(file.toString())), problems.toString());
  }

  @Test
  void aMissingFileIsNamed() {
    assertEquals(
        List.of(file + " is missing: name the agent's configuration with --config"),
        assertThrows(ConfigException.class, () -> AgentConfig.load(file)).problems());
  }
}
