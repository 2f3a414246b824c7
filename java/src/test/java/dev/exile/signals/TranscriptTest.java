package dev.exile.signals;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What deputize has said over several runs adds up. */
class TranscriptTest {
  private static final String SIGUSR1 = "0a000000" + "00".repeat(44);
  private static final String SIGTERM = "0f000000" + "00".repeat(44);

  @TempDir private Path folder;

  private Transcript read(String... lines) throws IOException {
    Path file = folder.resolve("said");
    Files.write(file, List.of(lines));
    return Transcript.read(file);
  }

  @Test
  void nothingSaidIsAnErrorUntilItIsDone() throws IOException {
    assertEquals("it has not ended", Transcript.read(folder.resolve("none")).error());
    assertNull(read("body 5", "deputy 5", "done").error());
  }

  @Test
  void heldSignalsAreNumberedPerProcess() throws IOException {
    Transcript said =
        read(
            "body 5",
            "held 5 6 " + SIGUSR1,
            "held 5 7 " + SIGTERM,
            "deputy 5",
            "body 8",
            "held 8 9 " + SIGTERM,
            "deputy 8",
            "done");

    assertEquals(
        List.of(SentSignal.parse(5, 1, 6, SIGUSR1, true), SentSignal.parse(5, 2, 7, SIGTERM, true)),
        said.held().get(5));
    assertEquals(1, said.heldOf(8));
    assertEquals(15, said.held().get(8).get(0).number());
    assertEquals(0, said.heldOf(77));
  }

  @Test
  void aSecondRunTellsAFrozenBodysSignalsAnew() throws IOException {
    Transcript said =
        read("body 5", "held 5 6 " + SIGUSR1, "body 5", "held 5 6 " + SIGUSR1, "deputy 5", "done");

    assertEquals(1, said.heldOf(5));
  }

  @Test
  void whoCouldNotBecomeOneIsFrozenAndWhoEndedIsNoDeputy() throws IOException {
    Transcript said = read("body 4", "gone 4 9", "body 5", "error 5 cannot aim it", "error 5 no");

    assertEquals(Set.of(5), said.frozen());
    assertTrue(said.held().containsKey(5));
    assertEquals(Set.of(5), said.held().keySet());
    assertEquals("error 5 no", said.error());
    assertTrue(said.ended(4));
    assertFalse(said.ended(5));
    assertFalse(said.ended(6), "may stand frozen behind the one that refused");
    assertTrue(read("body 5", "deputy 5", "done").ended(6));
  }

  @Test
  void aLineOfAnotherShimIsNotGuessedAt() {
    assertThrows(IOException.class, () -> read("body 5", "sublime 5"));
  }
}
