package dev.exile.it;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.List;
import java.util.stream.Stream;

/** Keeps what explains a failed test, below java/target/it-logs. */
final class Diagnosis {
  private Diagnosis() {}

  static void save(Testbed bed, String test) throws IOException {
    Path folder =
        Files.createDirectories(Testbed.ROOT.resolve("java/target/it-logs").resolve(test));
    for (String host : bed.hosts()) {
      if (Files.exists(bed.agentLogFile(host))) {
        threadDump(bed, host);
        Files.copy(
            bed.agentLogFile(host),
            folder.resolve(host + ".agent.log"),
            StandardCopyOption.REPLACE_EXISTING);
      }
      Files.write(
          folder.resolve(host + ".processes"),
          bed.processes(host).stream().map(Proc::toString).toList());
      copyLogs(bed.run(host).resolve("exile"), folder, host);
    }
    System.err.println("logs of " + test + ": " + folder);
  }

  // The JVM writes it to its standard output, which is the agent's log.
  private static void threadDump(Testbed bed, String host) {
    if (!bed.agentRuns(host)) {
      return;
    }
    long before = bed.agentLog(host).length();
    Commands.run(java.util.Map.of(), List.of("kill", "-QUIT", "" + bed.agentPid(host)));
    try {
      Await.until(
          Duration.ofSeconds(5),
          () -> "thread dump of " + host,
          () -> bed.agentLog(host).substring((int) before).contains("JNI global"));
    } catch (AssertionError none) {
      System.err.println(none.getMessage());
    }
  }

  private static void copyLogs(Path run, Path folder, String host) throws IOException {
    if (!Files.isDirectory(run)) {
      return;
    }
    List<Path> logs;
    try (Stream<Path> files = Files.walk(run)) {
      logs = files.filter(Files::isRegularFile).filter(Diagnosis::isText).toList();
    }
    for (Path log : logs) {
      String name = host + "." + run.relativize(log).toString().replace('/', '.');
      Files.copy(log, folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private static boolean isText(Path file) {
    String name = file.getFileName().toString();
    return name.endsWith(".log") || name.endsWith(".json") || name.endsWith(".journal");
  }
}
