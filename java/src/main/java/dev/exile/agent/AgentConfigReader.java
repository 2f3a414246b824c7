package dev.exile.agent;

import dev.exile.keys.HostNames;
import dev.exile.keys.Identity;
import dev.exile.keys.KeysException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** Turns a configuration file into an {@link AgentConfig}, collecting every problem on the way. */
final class AgentConfigReader {
  private static final List<String> KEYS =
      List.of("name", "address", "port", "keys", "run", "peers", "criu", "images");

  private final Path file;
  private final List<Problem> problems = new ArrayList<>();
  private final Map<String, YamlFile.Entry> entries = new LinkedHashMap<>();

  /** Line 0 stands for what is missing. */
  private record Problem(int line, String text) {}

  private AgentConfigReader(Path file) {
    this.file = file;
  }

  static AgentConfig read(Path file) throws ConfigException {
    AgentConfigReader reader = new AgentConfigReader(file);
    reader.collect(YamlFile.read(file));
    AgentConfig config = reader.config();
    if (!reader.problems.isEmpty()) {
      throw new ConfigException(
          reader.problems.stream()
              .sorted(Comparator.comparingInt(Problem::line))
              .map(Problem::text)
              .toList());
    }
    return config;
  }

  private void collect(List<YamlFile.Entry> found) {
    for (YamlFile.Entry entry : found) {
      if (!KEYS.contains(entry.key())) {
        problem(entry, "unknown key; the keys are " + String.join(", ", KEYS));
      } else if (entries.putIfAbsent(entry.key(), entry) != null) {
        problem(entry, "stands here a second time; keep one");
      } else if (entry.children() != null && !entry.key().equals("peers")) {
        problem(entry, "must be a single value");
        entries.put(entry.key(), entry.asEmpty());
      }
    }
  }

  private AgentConfig config() {
    String name = required("name", "this host's name, as in its certificate", HostNames::require);
    String address = required("address", "this host's numeric address", AgentConfigReader::address);
    Path keys = required("keys", "the directory that exile keys issue made for it", this::path);
    Integer port = optional("port", HostPort::requirePort, AgentConfig.DEFAULT_PORT);
    Path run = optional("run", this::path, AgentConfig.DEFAULT_RUN);
    Path criu = optional("criu", this::executable, defaultCriu());
    Path images = optional("images", this::path, run == null ? null : run.resolve("images"));
    Map<String, HostPort> peers = peers(name);
    checkIdentity(name, keys);
    return new AgentConfig(
        name,
        address,
        port == null ? AgentConfig.DEFAULT_PORT : port,
        keys,
        run,
        peers,
        criu,
        images);
  }

  private static Path defaultCriu() {
    boolean bundled = Files.isExecutable(AgentConfig.BUNDLED_CRIU);
    return bundled ? AgentConfig.BUNDLED_CRIU : Path.of("criu");
  }

  private Map<String, HostPort> peers(String self) {
    YamlFile.Entry section = entries.get("peers");
    Map<String, HostPort> peers = new LinkedHashMap<>();
    if (section == null || (section.children() == null && section.value().isEmpty())) {
      return Map.of(); // a host alone: nothing can move, but the rest can be tried
    }
    if (section.children() == null) {
      problem(section, "must be a map of NAME: ADDRESS or NAME: ADDRESS:PORT");
      return Map.of();
    }
    for (YamlFile.Entry peer : section.children()) {
      String name = parse(peer, e -> HostNames.require(e.key()));
      HostPort where = parse(peer, e -> HostPort.parse(e.requireValue(), AgentConfig.DEFAULT_PORT));
      if (name == null || where == null) {
        continue;
      }
      // One list of all hosts may be copied to each of them; nobody is its own peer.
      if (!name.equals(self) && peers.putIfAbsent(name, where) != null) {
        problem(peer, "stands here a second time; keep one");
      }
    }
    return Collections.unmodifiableMap(peers);
  }

  private void checkIdentity(String name, Path keys) {
    if (keys == null) {
      return;
    }
    try {
      String certified = Identity.load(keys).name();
      if (name != null && !certified.equals(name)) {
        problem(
            entries.get("name"),
            "'"
                + name
                + "' is not the name in the certificate, '"
                + certified
                + "': correct it, or issue keys for "
                + name);
      }
    } catch (KeysException e) {
      problem(entries.get("keys"), e.getMessage());
    }
  }

  private static String address(String text) {
    HostNames.requireAddress(text);
    return text;
  }

  private Path path(String text) {
    // A relative path means the same wherever the agent is started.
    return file.toAbsolutePath().resolveSibling(text).normalize();
  }

  private Path executable(String text) {
    Path program = path(text);
    if (!Files.isRegularFile(program) || !Files.isExecutable(program)) {
      throw new IllegalArgumentException(
          program + " is no program: correct the path, or leave the key out for the default");
    }
    return program;
  }

  private <T> T required(String key, String meaning, Function<String, T> parser) {
    YamlFile.Entry entry = entries.get(key);
    if (entry == null) {
      String text = file + ": key '" + key + "' is missing: add " + key + ": " + meaning;
      problems.add(new Problem(0, text));
      return null;
    }
    return parse(entry, e -> parser.apply(e.requireValue()));
  }

  private <T> T optional(String key, Function<String, T> parser, T missing) {
    YamlFile.Entry entry = entries.get(key);
    return entry == null ? missing : parse(entry, e -> parser.apply(e.requireValue()));
  }

  private <T> T parse(YamlFile.Entry entry, Function<YamlFile.Entry, T> parser) {
    if (entry.failed()) {
      return null; // told already
    }
    try {
      return parser.apply(entry);
    } catch (IllegalArgumentException e) { // InvalidPathException too
      problem(entry, e.getMessage());
      return null;
    }
  }

  private void problem(YamlFile.Entry entry, String what) {
    String text = file + ":" + entry.line() + ": " + entry.key() + ": " + what;
    problems.add(new Problem(entry.line(), text));
  }
}
