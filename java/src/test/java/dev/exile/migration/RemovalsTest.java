package dev.exile.migration;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RemovalsTest {
  @TempDir Path directory;

  @Test
  void aStepThatFailsIsNotDoneUntilItSucceeds() throws IOException {
    Removals removals = new Removals("m");
    Path inner = Files.createFile(Files.createDirectory(directory.resolve("outer")).resolve("in"));
    Removals.Step removal = () -> Files.deleteIfExists(inner.getParent());

    assertFalse(removals.done("directory", removal));
    assertFalse(removals.done("directory", removal));
    Files.delete(inner);
    assertTrue(removals.done("directory", removal));
    assertTrue(removals.done("directory", removal));
  }
}
