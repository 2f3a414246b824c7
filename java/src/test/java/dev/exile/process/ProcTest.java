package dev.exile.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

class ProcTest {
  private static final int SELF = (int) ProcessHandle.current().pid();

  @Test
  void whatIsNotThereIsEmpty() {
    assertEquals(Optional.empty(), Proc.read(SELF, "fdinfo/999999"));
    assertEquals(Optional.empty(), Proc.read(Integer.MAX_VALUE, "stat"));
    assertTrue(Proc.read(SELF, "stat").isPresent());
  }

  @Test
  void privateAnonymousMemoryIsNotOfFiles() throws Exception {
    String program =
        "import mmap; private = bytearray(64 << 20); shared = mmap.mmap(-1, 16 << 20);"
            + "shared.write(b'x' * (16 << 20)); print(flush=True); input()";
    Process python = new ProcessBuilder("/usr/bin/python3", "-c", program).start();
    try {
      assertEquals('\n', python.getInputStream().read());

      long resident = Proc.residentBytes((int) python.pid());
      long ofFiles = Proc.residentBytesOfFiles((int) python.pid());

      assertTrue(resident >= 80 << 20, "" + resident);
      assertTrue(ofFiles >= 16 << 20 && ofFiles < 48 << 20, "" + ofFiles);
    } finally {
      python.destroyForcibly().waitFor();
    }
    assertEquals(0, Proc.residentBytesOfFiles(Integer.MAX_VALUE));
  }

  @Test
  void aDescriptorThatIsClosedWhileItIsReadIsNotThere() throws Exception {
    AtomicBoolean over = new AtomicBoolean();
    CompletableFuture<Void> opening =
        CompletableFuture.runAsync(
            () -> {
              while (!over.get()) {
                try (FileInputStream file = new FileInputStream("/dev/null")) {
                  assertEquals(-1, file.read());
                } catch (IOException e) {
                  throw new UncheckedIOException(e);
                }
              }
            });
    try {
      for (int i = 0; i < 1_000; i++) {
        for (int fd : Proc.descriptors(SELF).keySet()) {
          Proc.read(SELF, "fdinfo/" + fd);
        }
      }
    } finally {
      over.set(true);
    }
    opening.get();
  }
}
