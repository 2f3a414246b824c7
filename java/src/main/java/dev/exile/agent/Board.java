package dev.exile.agent;

import dev.exile.rpc.peer.Row;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArraySet;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What this host tells the others of the processes that it has a part in. Followers are told
 * whenever that changes. While no process is in exile or away from home, nothing is looked at.
 */
final class Board implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Board.class);

  /** How often a process that lives is looked at; its state changes without our doing. */
  private static final long LOOK_MILLIS = 250;

  private final Supplier<List<Row>> source;
  private final BooleanSupplier alive;
  private final Set<Runnable> followers = new CopyOnWriteArraySet<>();
  private final Thread thread = new Thread(this::run, "board");
  private volatile Map<String, Row> rows = Map.of();
  private boolean changed = true;

  /**
   * A board that is empty until it is started.
   *
   * @param source the rows as they are now
   * @param alive whether they may change without {@link #changed} being called
   */
  Board(Supplier<List<Row>> source, BooleanSupplier alive) {
    this.source = source;
    this.alive = alive;
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /** Something has happened to a migration. Returns at once. */
  synchronized void changed() {
    changed = true;
    notifyAll();
  }

  /** The rows by migration, as they were last looked at. */
  Map<String, Row> rows() {
    return rows;
  }

  /** Runs {@code told} after every change of the rows. */
  void follow(Runnable told) {
    followers.add(told);
  }

  void unfollow(Runnable told) {
    followers.remove(told);
  }

  private void run() {
    try {
      while (true) {
        await();
        look();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized void await() throws InterruptedException {
    long patience = alive.getAsBoolean() ? LOOK_MILLIS : TimeUnit.DAYS.toMillis(1);
    long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(patience);
    long left = end - System.nanoTime();
    while (!changed && left > 0) {
      TimeUnit.NANOSECONDS.timedWait(this, left);
      left = end - System.nanoTime();
    }
    changed = false;
  }

  private void look() {
    try {
      Map<String, Row> now =
          source.get().stream().collect(Collectors.toMap(Row::getId, Function.identity()));
      if (!now.equals(rows)) {
        rows = now;
        followers.forEach(Runnable::run);
      }
    } catch (RuntimeException e) {
      LOG.error("what others are told of the processes here may be old", e);
    }
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
