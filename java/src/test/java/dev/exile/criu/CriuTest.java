package dev.exile.criu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CriuTest {
  @TempDir private Path temp;

  @ParameterizedTest
  @CsvSource({
    "4.2, 4.2.1, true",
    "4.2.1, 4.2.1, false",
    "4.2.1, 4.2, false",
    "4.9, 4.10, true",
    "4.10, 4.9, false",
    "3.17.1, 4.0, true",
  })
  void versionsAreComparedNumberByNumber(String own, String other, boolean older) {
    assertEquals(older, new Criu(Path.of("/criu"), own).olderThan(other));
  }

  private Path log(String... lines) throws IOException {
    return Files.write(temp.resolve("restore.log"), List.of(lines));
  }

  @Test
  void firstErrorOfALogIsToldWithoutItsClock() throws IOException {
    assertEquals(
        "Error (criu/pagemap.c:690): Can't open file pages-1.img: No such file or directory",
        Criu.errorLine(
            log(
                "(00.000107) Version: 4.2.1 (gitid 0)",
                "(00.002000) Warn  (criu/kerndat.c:1): something odd",
                "(00.012345)     59: Error (criu/pagemap.c:690): Can't open file pages-1.img: No"
                    + " such file or directory",
                "(00.012399) Error (criu/cr-restore.c:1700): Restoring FAILED.")));
  }

  @Test
  void errorThatCriuLogsEveryTimeIsNotToBlame() throws IOException {
    assertEquals(
        "Error (criu/cr-dump.c:1): the true one",
        Criu.errorLine(
            log(
                "Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation"
                    + " not permitted",
                "(00.5) Error (criu/cr-dump.c:1): the true one")));
  }

  @Test
  void logWithoutAnErrorSaysSo() throws IOException {
    assertEquals("CRIU logged no error", Criu.errorLine(log("(00.1) all is well")));
    assertEquals("CRIU left no log", Criu.errorLine(temp.resolve("none.log")));
  }

  private Path program(String script) throws IOException {
    Path program = Files.writeString(temp.resolve("criu"), "#!/bin/sh\n" + script);
    Files.setPosixFilePermissions(program, PosixFilePermissions.fromString("rwx------"));
    return program;
  }

  @Test
  void versionIsAskedOfTheProgram() throws IOException {
    Criu criu = Criu.probe(program("echo 'Version: 4.2.1'; echo 'GitID: v4.2.1'"));
    assertEquals("4.2.1", criu.version());
  }

  @ParameterizedTest
  @CsvSource({
    "exit 1, ended with 1: no output",
    "echo hello, does not tell a version of CRIU",
    "'case $1 in check) echo Looks bad.; exit 2 ;; *) echo Version: 4.2 ;; esac', check' ended with 2: Looks bad.",
  })
  void programThatCannotWorkIsRefusedInItsOwnWords(String script, String words) throws IOException {
    Path program = program(script);
    IOException refused = assertThrows(IOException.class, () -> Criu.probe(program));
    assertTrue(refused.getMessage().contains(words), refused.getMessage());
    assertTrue(refused.getMessage().contains(program.toString()), refused.getMessage());
  }

  @Test
  void programThatIsMissingIsNamed() {
    IOException refused =
        assertThrows(IOException.class, () -> Criu.probe(temp.resolve("nothing")));
    assertTrue(refused.getMessage().contains(temp.resolve("nothing").toString()));
  }

  @Test
  void dumpLeavesTheTreeFrozenAndItsConnectionsAlone() {
    List<String> command =
        new Criu(Path.of("/opt/criu"), "4.2.1")
            .dump(
                59,
                temp,
                temp.resolve("dump.log"),
                Path.of("/sys/fs/cgroup/exile-1"),
                false,
                true,
                List.of("tty[500:6]"));
    assertEquals(List.of("/opt/criu", "dump"), command.subList(0, 2));
    assertTrue(command.contains("--leave-running"), command::toString);
    assertTrue(command.contains("--tcp-close"), command::toString);
    assertEquals("skip", command.get(command.indexOf("--network-lock") + 1));
    assertEquals("59", command.get(command.indexOf("--tree") + 1));
    assertEquals("/sys/fs/cgroup/exile-1", command.get(command.indexOf("--freeze-cgroup") + 1));
    assertTrue(!command.contains("--shell-job"));
  }

  @Test
  void bothHostsTreatAShellJobAlike() {
    Criu criu = new Criu(Path.of("/opt/criu"), "4.2.1");
    assertTrue(criu.dump(59, temp, temp, temp, true, false, List.of()).contains("--shell-job"));
    assertTrue(criu.restore(temp, temp, temp, true, false, List.of()).contains("--shell-job"));
    assertTrue(!criu.restore(temp, temp, temp, false, false, List.of()).contains("--shell-job"));
  }
}
