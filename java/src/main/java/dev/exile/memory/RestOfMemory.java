package dev.exile.memory;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The memory of processes that run elsewhere already, for as long as pages of it are still asked
 * for. What is once open stays readable while anything holds that memory. One thread at a time.
 */
public final class RestOfMemory implements Closeable {
  private static final Logger LOG = LoggerFactory.getLogger(RestOfMemory.class);
  private static final int BUFFERS = 6;

  private final Map<Integer, FileChannel> memories = new TreeMap<>();

  /**
   * Opens it.
   *
   * @param holders by the PID of each process, who holds its memory: its frozen body, or a keeper.
   *     What nobody holds any more is gone as soon as it is asked for
   */
  public static RestOfMemory open(Map<Integer, Integer> holders) throws IOException {
    RestOfMemory rest = new RestOfMemory();
    try {
      for (Map.Entry<Integer, Integer> holder : holders.entrySet()) {
        rest.open(holder.getKey(), Path.of("/proc/" + holder.getValue() + "/mem"));
      }
    } catch (IOException e) {
      rest.close();
      throw e;
    }
    return rest;
  }

  private void open(int pid, Path memory) throws IOException {
    try {
      memories.put(pid, FileChannel.open(memory, StandardOpenOption.READ));
    } catch (NoSuchFileException e) {
      LOG.warn("the memory of process {} is gone: there is no {}", pid, memory);
    }
  }

  /** One stream's way of sending it. */
  public interface Sending {
    /** Sends a range; waits while too much is under way. */
    void range(int pid, long start, long end) throws IOException, InterruptedException;
  }

  /** Sends over that sink; what it throws is of the sink, or says that the memory is gone. */
  public Sending over(PageSink sink, long bytesPerSecond, java.util.function.LongConsumer sent) {
    PageSender sender = new PageSender(sink, bytesPerSecond, BUFFERS, sent);
    return (pid, start, end) -> {
      FileChannel memory = memories.get(pid);
      if (memory == null) {
        throw new GoneException(pid, null);
      }
      try {
        sender.send(memory, pid, start, end, new Sent(true));
      } catch (PageSender.UnreadableException e) {
        throw new GoneException(pid, e);
      }
    };
  }

  /** Nobody holds it any more. */
  public static final class GoneException extends IOException {
    private static final long serialVersionUID = 1;

    GoneException(int pid, IOException cause) {
      super("the memory of process " + pid + " is gone", cause);
    }
  }

  @Override
  public void close() throws IOException {
    for (FileChannel memory : memories.values()) {
      memory.close();
    }
    memories.clear();
  }
}
