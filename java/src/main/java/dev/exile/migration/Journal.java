package dev.exile.migration;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The migrations of this host on disk, a file each. What {@link #save} has returned from survives a
 * crash of the agent, and of the host where the directory does: written aside, synced, renamed,
 * directory synced.
 */
public final class Journal {
  private static final Logger LOG = LoggerFactory.getLogger(Journal.class);
  private static final int KEPT = 50;

  private final ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
  private final Path directory;
  private volatile Runnable listener = () -> {};

  /** A journal in the given directory, which is made where it is missing. */
  public Journal(Path directory) throws IOException {
    this.directory = directory;
    Files.createDirectories(
        directory,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
  }

  /** Whom to tell of every change of any migration; it is to return at once. */
  public void onChange(Runnable told) {
    listener = told;
  }

  /** Writes one migration's facts; on return they are on disk. */
  void save(Facts facts) throws IOException {
    synchronized (facts) {
      write(facts);
    }
    listener.run();
  }

  private void write(Facts facts) throws IOException {
    Path aside = directory.resolve(facts.id + ".new");
    try (FileChannel file =
        FileChannel.open(
            aside,
            StandardOpenOption.CREATE,
            StandardOpenOption.TRUNCATE_EXISTING,
            StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap(mapper.writeValueAsBytes(facts));
      while (bytes.hasRemaining()) {
        file.write(bytes);
      }
      file.force(true);
    }
    Files.move(aside, file(facts.id), StandardCopyOption.ATOMIC_MOVE);
    try (FileChannel parent = FileChannel.open(directory, StandardOpenOption.READ)) {
      parent.force(true);
    }
  }

  private Path file(String id) {
    return directory.resolve(id + ".json");
  }

  /**
   * Every migration on disk, oldest first. A file that cannot be read is reported and left as it
   * is: what it says is not lost.
   */
  public List<Facts> load() throws IOException {
    List<Facts> all = new ArrayList<>();
    try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "*.json")) {
      for (Path file : files) {
        try {
          Facts facts = mapper.readValue(file.toFile(), Facts.class);
          if (facts.format > Facts.FORMAT) {
            LOG.error("{} is of format {}, newer than this agent reads", file, facts.format);
          } else {
            all.add(facts);
          }
        } catch (IOException e) {
          LOG.error("{} cannot be read and is left as it is: {}", file, e.getMessage());
        }
      }
    }
    all.sort(Comparator.comparingLong(facts -> facts.startedMillis));
    return all;
  }

  /**
   * Forgets the oldest of the migrations that are over, so that the journal stays small.
   *
   * @return the ids of those forgotten
   */
  List<String> prune(Map<String, Facts> over) throws IOException {
    if (over.size() <= KEPT) {
      return List.of();
    }
    List<String> oldest =
        over.values().stream()
            .sorted(Comparator.comparingLong(facts -> facts.startedMillis))
            .limit(over.size() - KEPT)
            .map(facts -> facts.id)
            .toList();
    for (String id : oldest) {
      Files.deleteIfExists(file(id));
    }
    return oldest;
  }
}
