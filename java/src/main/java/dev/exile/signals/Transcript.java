package dev.exile.signals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What the job {@code deputize} has said, in all its runs: it writes to a file, so that not a line
 * is lost when the agent dies meanwhile. See native/src/deputize.c for the lines.
 *
 * @param held per process that was there to become a deputy, in order, the signals of threads that
 *     are no more; numbered from 1
 * @param frozen bodies that could not become deputies
 * @param gone those that ended instead
 * @param error what went wrong last; null where the last run did all of its work
 */
record Transcript(
    Map<Integer, List<SentSignal>> held, Set<Integer> frozen, Set<Integer> gone, String error) {

  /** Reads it; where there is none, nothing has been said. */
  static Transcript read(Path file) throws IOException {
    Map<Integer, List<SentSignal>> held = new LinkedHashMap<>();
    Set<Integer> frozen = new HashSet<>();
    Set<Integer> gone = new HashSet<>();
    String error = "it has not ended";
    for (String line : lines(file)) {
      String[] words = line.split(" ", 4);
      switch (words[0]) {
        case "body" -> {
          held.put(Integer.valueOf(words[1]), new ArrayList<>());
          frozen.add(Integer.valueOf(words[1]));
        }
        case "deputy" -> frozen.remove(Integer.valueOf(words[1]));
        case "held" -> {
          int pid = Integer.parseInt(words[1]);
          List<SentSignal> signals = held.get(pid);
          int tid = Integer.parseInt(words[2]);
          signals.add(SentSignal.parse(pid, signals.size() + 1L, tid, words[3], true));
        }
        case "gone" -> {
          held.remove(Integer.valueOf(words[1]));
          frozen.remove(Integer.valueOf(words[1]));
          gone.add(Integer.valueOf(words[1]));
        }
        case "memory", "no-memory" -> {} // who needs it looks for it, see MemoryKeepers
        case "error" -> error = line;
        case "done" -> {
          error = null;
          frozen.clear();
        }
        default -> throw new IOException("deputize says '" + line + "'");
      }
    }
    return new Transcript(held, frozen, gone, error);
  }

  private static List<String> lines(Path file) throws IOException {
    try {
      return Files.readAllLines(file);
    } catch (NoSuchFileException e) {
      return List.of();
    }
  }

  /** Whether a process was killed before it could become a deputy. */
  boolean ended(int pid) {
    // Where not all is done, one of which nothing is said may stand frozen still.
    return gone.contains(pid) || (error == null && !held.containsKey(pid));
  }

  /** How many signals of a process stand here: its deputy's own are numbered from the next on. */
  long heldOf(int pid) {
    return held.getOrDefault(pid, List.of()).size();
  }
}
