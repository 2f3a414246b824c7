package dev.exile.negotiation;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** Facts about the host that a negotiation compares. */
public final class Host {
  private static final int CAP_SYS_RESOURCE = 24;

  /**
   * The flags of /proc/cpuinfo that stand for instructions a program may have chosen to use; the
   * others tell of the kernel's own affairs.
   */
  private static final Set<String> INSTRUCTION_SETS =
      Set.of(
          ("sse sse2 pni ssse3 sse4_1 sse4_2 sse4a popcnt aes pclmulqdq vaes vpclmulqdq gfni avx"
                  + " avx2 avx_vnni avx512f avx512dq avx512cd avx512bw avx512vl avx512ifma"
                  + " avx512vbmi avx512_vbmi2 avx512_vnni avx512_bitalg avx512_vpopcntdq"
                  + " avx512_bf16 avx512_fp16 amx_tile amx_int8 amx_bf16 fma f16c bmi1 bmi2 abm"
                  + " adx rdrand rdseed rdtscp sha_ni movbe xsave xsavec xsaves fsgsbase"
                  + " clflushopt clwb movdiri movdir64b erms fsrm rdpid serialize")
              .split(" ", -1));

  private Host() {}

  /** {@code uname -r}. */
  public static String kernel() {
    return read("/proc/sys/kernel/osrelease").strip();
  }

  /** Whether the agent finds a program of that name. */
  static boolean hasProgram(String name) {
    String path = System.getenv().getOrDefault("PATH", "");
    return Stream.of(path.split(":", -1))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, name)));
  }

  /** {@code uname -m}, in Java's spelling. */
  public static String architecture() {
    return System.getProperty("os.arch");
  }

  /** Instruction sets of the CPU. */
  public static List<String> cpuFeatures() {
    for (String line : read("/proc/cpuinfo").split("\n", -1)) {
      if (line.startsWith("flags")) {
        List<String> features = new ArrayList<>();
        for (String flag : line.substring(line.indexOf(':') + 1).trim().split(" ", -1)) {
          if (INSTRUCTION_SETS.contains(flag)) {
            features.add(flag);
          }
        }
        return features;
      }
    }
    return List.of();
  }

  /** MemAvailable of proc_meminfo(5), in bytes. */
  public static long availableMemory() {
    for (String line : read("/proc/meminfo").split("\n", -1)) {
      if (line.startsWith("MemAvailable:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
      }
    }
    return Long.MAX_VALUE;
  }

  /** Free bytes where {@code directory} lies, or will lie once it has been made. */
  public static long usableSpace(Path directory) throws IOException {
    return storeOf(directory).getUsableSpace();
  }

  /** Whether what is written there takes memory, tmpfs(5). */
  static boolean isInMemory(Path directory) throws IOException {
    return storeOf(directory).type().equals("tmpfs");
  }

  private static FileStore storeOf(Path directory) throws IOException {
    Path there = directory.toAbsolutePath();
    while (!Files.exists(there)) {
      there = there.getParent(); // ends at the root, which exists
    }
    return Files.getFileStore(there);
  }

  /** Whether this agent may raise limits (CAP_SYS_RESOURCE, capabilities(7)). */
  public static boolean mayRaiseLimits() {
    for (String line : read("/proc/self/status").split("\n", -1)) {
      if (line.startsWith("CapEff:")) {
        long effective = Long.parseUnsignedLong(line.substring(7).trim(), 16);
        return (effective >> CAP_SYS_RESOURCE & 1) == 1;
      }
    }
    return false;
  }

  /** The hard limit of open files of a process, proc_pid_limits(5); -1 for none. */
  public static long openFilesHardLimit(String limits) {
    for (String line : limits.split("\n", -1)) {
      if (line.startsWith("Max open files")) {
        String hard = line.substring("Max open files".length()).trim().split("\\s+", -1)[1];
        return hard.equals("unlimited") ? Long.MAX_VALUE : Long.parseLong(hard);
      }
    }
    return -1;
  }

  /** True where the kernel speaks IPv6. */
  public static boolean hasIpv6() {
    return Files.exists(Path.of("/proc/net/if_inet6"));
  }

  /** kernel.pid_max. */
  public static int highestPid() {
    return Integer.parseInt(read("/proc/sys/kernel/pid_max").strip());
  }

  static String read(String path) {
    // Not Files.readString: it reads a single byte first, and a numeric sysctl gives nothing more.
    try (InputStream in = new FileInputStream(path)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException("cannot read " + path, e);
    }
  }
}
