package dev.exile.memory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/**
 * Tells one address space from that of another program, which the process has executed since, or of
 * another process with its PID: by when it began, and where its code, stack, data, heap and
 * arguments were put (proc_pid_stat(5)).
 */
record AddressSpace(List<String> marks) {
  /** Fields of /proc/PID/stat, from the one behind the name on. */
  private static final List<Integer> FIELDS = List.of(19, 23, 24, 25, 42, 43, 44, 45, 46);

  /** That of a process as it is now. */
  static AddressSpace of(int pid) throws IOException {
    String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
    List<String> fields =
        Arrays.asList(stat.substring(stat.lastIndexOf(')') + 2).strip().split(" ", -1));
    return new AddressSpace(FIELDS.stream().map(fields::get).toList());
  }
}
