package dev.exile.negotiation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HostTest {

  @Test
  void kernelIsThatOfUname() throws IOException {
    Process uname = new ProcessBuilder("uname", "-r").start();
    String said = new String(uname.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    assertEquals(said.strip(), Host.kernel());
  }

  @Test
  void everyProcessorOfOurArchitectureHasTheFirstVectorInstructions() {
    assertTrue(Host.cpuFeatures().contains("sse2"), Host.cpuFeatures()::toString);
    assertTrue(!Host.cpuFeatures().contains("tsc"), "not an instruction set to be compared");
  }

  @ParameterizedTest
  @CsvSource({
    "Max open files            1024                 524288               files, 524288",
    "Max open files            unlimited            unlimited            files, 9223372036854775807",
    "Max processes             1024                 524288               processes, -1",
    "'', -1",
  })
  void hardLimitOfOpenFilesIsTheSecondNumber(String line, long limit) {
    String limits = "Limit                     Soft Limit           Hard Limit           Units\n";
    assertEquals(limit, Host.openFilesHardLimit(limits + line + "\n"));
  }

  @Test
  void ownLimitIsRead() {
    assertTrue(Host.openFilesHardLimit(Host.read("/proc/self/limits")) > 0);
  }

  @Test
  void memoryRoomAndPidsAreTold(@TempDir Path temp) throws IOException {
    assertTrue(Host.availableMemory() > 1 << 20);
    assertTrue(Host.availableMemory() < Long.MAX_VALUE);
    assertTrue(Host.usableSpace(temp) > 0);
    assertTrue(Host.usableSpace(temp.resolve("not/made/yet")) > 0);
    assertTrue(Host.highestPid() >= 32768);
  }
}
