package dev.exile.linux;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PipeViewTest {
  private static final int USUAL_SIZE = 64 << 10;

  @TempDir Path folder;

  @Test
  void whatIsSeenStaysInThePipe() throws IOException {
    Path fifo = folder.resolve("fifo");
    Linux.makeFifo(fifo);
    byte[] full = new byte[USUAL_SIZE];
    new Random(1).nextBytes(full);
    try (RandomAccessFile both = new RandomAccessFile(fifo.toFile(), "rw")) {
      assertEquals(0, PipeView.unread(fifo).length);
      both.write(full);

      assertArrayEquals(full, PipeView.unread(fifo));

      byte[] read = new byte[USUAL_SIZE];
      both.readFully(read);
      assertArrayEquals(full, read);
      assertEquals(0, PipeView.unread(fifo).length);
    }
  }

  /** Each of them takes a place in the pipe, however small it is. */
  @Test
  void manySmallPiecesAreSeen() throws IOException {
    Path fifo = folder.resolve("fifo");
    Linux.makeFifo(fifo);
    try (RandomAccessFile both = new RandomAccessFile(fifo.toFile(), "rw")) {
      byte[] expected = new byte[1000];
      for (int i = 0; i < expected.length; i++) {
        expected[i] = (byte) i;
        both.write(expected, i, 1);
      }

      assertArrayEquals(expected, PipeView.unread(fifo));
    }
  }

  @Test
  void aPipeThatIsNotThereIsNamed() {
    Path none = folder.resolve("none");

    Errno failure = assertThrows(Errno.class, () -> PipeView.unread(none));

    assertEquals("open of " + none, failure.getMessage().split(" failed", -1)[0]);
  }
}
