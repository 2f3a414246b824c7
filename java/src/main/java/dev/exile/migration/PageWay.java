package dev.exile.migration;

import dev.exile.memory.PageSink;
import dev.exile.memory.Pages;
import dev.exile.sockets.Carrier;
import dev.exile.sockets.PageStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A carrier with a stream for pages, from home to the destination. */
final class PageWay implements PageSink, PageStream.End, AutoCloseable {
  private static final Duration SILENCE = Duration.ofSeconds(10);
  private static final long SLICE_MILLIS = 200;

  private final Map<Long, CompletableFuture<Void>> fences = new HashMap<>();
  private final Carrier carrier;
  private PageStream stream;
  private volatile Asked asked = head -> {};
  private volatile boolean lost;
  private long fence;

  /** Hears what the destination wants; on an event loop: must not block. */
  @FunctionalInterface
  interface Asked {
    void frame(PageStream.Head head);
  }

  private PageWay(Carrier carrier) {
    this.carrier = carrier;
  }

  /** Opens one. */
  static PageWay open(String migration, Carrier carrier, Asked asked) throws IOException {
    carrier.giveUpAfter(SILENCE);
    PageWay way = new PageWay(carrier);
    way.asked = asked;
    try {
      way.stream = carrier.openPages(migration, way);
      return way;
    } catch (IOException e) {
      carrier.close();
      throw e;
    }
  }

  /** Whether nothing passes any more. */
  boolean isLost() {
    return lost;
  }

  /** Says something without content. */
  void say(int kind, int process, long start, long length) throws IOException {
    stream.send(new PageStream.Head(kind, process, start, length));
  }

  @Override
  public void data(
      int pid, long start, long length, boolean compressed, ByteBuffer content, Runnable sent)
      throws IOException {
    int kind = compressed ? Pages.COMPRESSED : Pages.DATA;
    stream.send(new PageStream.Head(kind, pid, start, length), content, sent);
  }

  @Override
  public void zeros(int pid, long start, long length) throws IOException {
    say(Pages.ZEROS, pid, start, length);
  }

  @Override
  public void await() throws IOException, InterruptedException {
    CompletableFuture<Void> back = new CompletableFuture<>();
    long number;
    synchronized (fences) {
      number = ++fence;
      fences.put(number, back);
    }
    say(Pages.FENCE, 0, number, 0);
    while (true) {
      try {
        back.get(SLICE_MILLIS, TimeUnit.MILLISECONDS);
        return;
      } catch (ExecutionException e) {
        throw new IOException(e.getCause().getMessage(), e);
      } catch (TimeoutException e) {
        if (lost) {
          throw new IOException(stream.lost(), e);
        }
      }
    }
  }

  @Override
  public void frame(PageStream.Head head, ByteBuffer content) {
    if (head.kind() != Pages.FENCE) {
      asked.frame(head);
      return;
    }
    CompletableFuture<Void> back;
    synchronized (fences) {
      back = fences.remove(head.start());
    }
    if (back != null) {
      back.complete(null);
    }
  }

  @Override
  public void lost(String reason) {
    lost = true;
    synchronized (fences) {
      fences.values().forEach(back -> back.completeExceptionally(new IOException(reason)));
      fences.clear();
    }
  }

  @Override
  public void close() {
    carrier.close();
  }
}
