package dev.exile.migration;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.exile.keys.WarningsExtension;
import dev.exile.negotiation.Refusal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

class JournalTest {
  @RegisterExtension
  private final WarningsExtension warnings = new WarningsExtension(Journal.class.getName());

  @TempDir private Path temp;
  private Path directory;
  private Journal journal;

  @BeforeEach
  void open() throws IOException {
    directory = temp.resolve("run/journal");
    journal = new Journal(directory);
  }

  private static Facts facts(String id, long startedMillis) {
    Facts facts = new Facts();
    facts.id = id;
    facts.role = "home";
    facts.state = "ROLLED_BACK";
    facts.startedMillis = startedMillis;
    return facts;
  }

  private List<String> idsAfterRestart() throws IOException {
    return new Journal(directory).load().stream().map(facts -> facts.id).toList();
  }

  @Test
  void everythingThatIsSavedComesBack() throws IOException {
    Facts facts = facts("aaaaaaaaaa", 1_700_000_000_000L);
    facts.state = "FORWARDING";
    facts.reason = "runs at b; \"quoted\", ünïcode\nand two lines";
    facts.command = "a (strange) name";
    facts.pid = 4711;
    facts.startTicks = Long.MAX_VALUE;
    facts.cgroup = "/sys/fs/cgroup/exile-aaaaaaaaaa";
    facts.origins = Map.of(4711, "/sys/fs/cgroup/system.slice", 4712, "/sys/fs/cgroup");
    facts.listenerAddresses = Map.of(3, "0:0:0:0:0:0:0:0 6379");
    facts.refusals.add(new Refusal("no room", "make some"));
    facts.phaseMillis = new LinkedHashMap<>(Map.of("dumping", 12L));
    facts.waitStatus = 9;

    journal.save(facts);

    Facts read = new Journal(directory).load().get(0);
    assertEquals("FORWARDING", read.state);
    assertEquals(facts.reason, read.reason);
    assertEquals(facts.command, read.command);
    assertEquals(4711, read.pid);
    assertEquals(Long.MAX_VALUE, read.startTicks);
    assertEquals(facts.cgroup, read.cgroup);
    assertEquals(facts.origins, read.origins);
    assertEquals(facts.listenerAddresses, read.listenerAddresses);
    assertEquals(facts.refusals, read.refusals);
    assertEquals(facts.phases(), read.phases());
    assertEquals(9, read.waitStatus);
    assertEquals(List.of(), warnings.lines());
  }

  @Test
  void lastSaveCounts() throws IOException {
    Facts facts = facts("aaaaaaaaaa", 1);
    facts.reason = "a long reason that is to leave no rest behind";
    journal.save(facts);
    facts.reason = "short";
    journal.save(facts);

    assertEquals("short", new Journal(directory).load().get(0).reason);
    try (Stream<Path> files = Files.list(directory)) {
      assertEquals(List.of(directory.resolve("aaaaaaaaaa.json")), files.toList());
    }
  }

  @Test
  void migrationsComeOldestFirst() throws IOException {
    journal.save(facts("cccccccccc", 1));
    journal.save(facts("aaaaaaaaaa", 3));
    journal.save(facts("bbbbbbbbbb", 2));

    assertEquals(List.of("cccccccccc", "bbbbbbbbbb", "aaaaaaaaaa"), idsAfterRestart());
  }

  @Test
  void fileOfANewerFormatIsReportedAndKept() throws IOException {
    Facts newer = facts("aaaaaaaaaa", 1);
    newer.format = Facts.FORMAT + 1;
    journal.save(newer);
    journal.save(facts("bbbbbbbbbb", 2));
    Path file = directory.resolve("aaaaaaaaaa.json");
    String before = Files.readString(file);

    assertEquals(List.of("bbbbbbbbbb"), idsAfterRestart());

    assertEquals(before, Files.readString(file));
    assertEquals(1, warnings.lines().size(), warnings.lines()::toString);
    assertTrue(warnings.lines().get(0).contains(file + " is of format " + (Facts.FORMAT + 1)));
  }

  @Test
  void fileThatCannotBeReadIsReportedAndKept() throws IOException {
    Path file = directory.resolve("aaaaaaaaaa.json");
    Files.writeString(file, "{ \"id\" : \"aaaaaaaaaa\", \"sta");
    journal.save(facts("bbbbbbbbbb", 2));

    assertEquals(List.of("bbbbbbbbbb"), idsAfterRestart());

    assertTrue(Files.exists(file));
    assertEquals(1, warnings.lines().size(), warnings.lines()::toString);
    assertTrue(warnings.lines().get(0).contains(file + " cannot be read"));
  }

  @Test
  void fieldOfALaterVersionIsNoHindrance() throws IOException {
    journal.save(facts("aaaaaaaaaa", 1));
    Path file = directory.resolve("aaaaaaaaaa.json");
    Files.writeString(file, Files.readString(file).replaceFirst("\\{", "{ \"later\" : [ 1 ],"));

    assertEquals(List.of("aaaaaaaaaa"), idsAfterRestart());
  }

  @Test
  void saveThatACrashInterruptedIsAsIfItHadNotBegun() throws IOException {
    journal.save(facts("aaaaaaaaaa", 1));
    Files.writeString(directory.resolve("aaaaaaaaaa.new"), "{ \"state\" : \"COMM");

    assertEquals("ROLLED_BACK", new Journal(directory).load().get(0).state);
  }

  @Test
  void onlyRootMayLookInside() throws IOException {
    assertEquals(
        "rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(directory)));
  }

  @Test
  void oldestAreForgottenWhereThereAreMany() throws IOException {
    Map<String, Facts> over = new LinkedHashMap<>();
    for (int i = 51; i >= 0; i--) {
      Facts facts = facts("%010d".formatted(i), i);
      over.put(facts.id, facts);
      journal.save(facts);
    }

    assertEquals(List.of("0000000000", "0000000001"), journal.prune(over));

    assertEquals(50, idsAfterRestart().size());
    assertFalse(Files.exists(directory.resolve("0000000000.json")));
    over.remove("0000000000");
    over.remove("0000000001");
    assertEquals(List.of(), journal.prune(over));
  }
}
