package dev.exile.migration;

import dev.exile.criu.PageImages;
import dev.exile.memory.Area;
import dev.exile.memory.Fill;
import dev.exile.memory.Pager;
import dev.exile.memory.Pages;
import dev.exile.memory.Plan;
import dev.exile.memory.Store;
import dev.exile.rpc.peer.MemoryPlan;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.sockets.PageStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Memory at the destination: pages come and are stored; once the process is restored they are put
 * in their places, all at once or as it touches them. What is missing then is asked for, until it
 * is there. Thread-safe.
 *
 * <p>While a page is missing the process that touches it waits. Should it never come, the process
 * is ended: it must not run on with wrong memory.
 */
final class ArrivedMemory implements Pager.Listener {
  private static final Logger LOG = LoggerFactory.getLogger(ArrivedMemory.class);

  private final Site site;
  private final Facts facts;
  private final Consumer<String> lose;
  private final Store store = new Store();
  private List<Plan> plans = List.of();
  private volatile Pager pager;
  private volatile PageStream stream;
  private volatile boolean joined = true;

  /** Where home has flushed the memory to; null where it was sent. */
  private volatile FlushedMemory flushed;

  /**
   * @param lose ends the process, for that reason
   */
  ArrivedMemory(Site site, Facts facts, Consumer<String> lose) {
    this.site = site;
    this.facts = facts;
    this.lose = lose;
  }

  private Path socket() {
    return site.run().resolve(facts.id + ".pager");
  }

  // ---- What comes. ----

  /** A stream has come; the latest one is the one that counts. */
  PageStream.End join(PageStream joined) {
    stream = joined;
    return new PageStream.End() {
      @Override
      public void frame(PageStream.Head head, ByteBuffer content) throws IOException {
        came(joined, head, content);
      }

      @Override
      public void opened() throws IOException {
        if (facts.memoryComplete) {
          tellComplete(); // when it was so, home could not be told, or has not heard it
        } else {
          askForMissing();
        }
      }

      @Override
      public void lost(String reason) {
        if (facts.missingBytes > 0 && flushed == null) {
          LOG.warn(
              "{}: pages of its memory are missing, and {} cannot be asked just now: {}",
              facts.id,
              facts.from,
              reason);
        }
      }
    };
  }

  private void came(PageStream from, PageStream.Head head, ByteBuffer content) throws IOException {
    long end = head.start() + head.length();
    switch (head.kind()) {
      case Pages.DATA, Pages.COMPRESSED -> {
        boolean packed = head.kind() == Pages.COMPRESSED;
        store.data(head.process(), head.start(), head.length(), packed, content);
        here(head.process(), head.start(), end);
      }
      case Pages.ZEROS -> {
        store.zeros(head.process(), head.start(), head.length());
        here(head.process(), head.start(), end);
      }
      case Pages.FENCE -> from.send(head);
      case Pages.LOST -> lose.accept("its memory at " + facts.from + " is lost");
      default -> throw new IOException("an unknown frame " + head);
    }
  }

  private void here(int pid, long start, long end) throws IOException {
    Pager telling = pager;
    if (telling != null && facts.missingBytes > 0) {
      telling.here(pid, start, end);
    }
  }

  // ---- Restoring. ----

  /**
   * Before CRIU restores.
   *
   * @return whether it is to leave the pages to the pager
   */
  boolean prepare(RestoreRequest request) throws IOException {
    plans = request.getMemoryList().stream().map(ArrivedMemory::plan).toList();
    facts.missingBytes = plans.stream().mapToLong(Plan::missingBytes).sum();
    facts.store = request.getStore();
    boolean some = plans.stream().anyMatch(plan -> !plan.areas().isEmpty());
    if (!some || !request.getResumesAtOnce()) {
      if (facts.missingBytes > 0) {
        throw new IOException("pages are missing, and it is not to run without them");
      }
      return false;
    }
    Pager starting = Pager.start(site.shim(), socket());
    pager = starting;
    facts.paged = true;
    site.journal().save(facts);
    for (Plan plan : plans) {
      starting.announce(plan, store, site.images(facts.id));
    }
    PageImages.restoreAll(site.images(facts.id));
    starting.listen(site.images(facts.id));
    if (!facts.store.isEmpty()) {
      flushed = FlushedMemory.start(Path.of(facts.store), store, this::here);
    }
    askForMissing();
    return true;
  }

  /** What the cell's init is told: it holds the pager's descriptors, see native/src/hold.h. */
  List<String> cellOptions() {
    return pager == null ? List.of() : List.of("--pager", socket().toString());
  }

  private static Plan plan(MemoryPlan plan) {
    return new Plan(plan.getPid(), plan.getAreasList(), plan.getMissingList());
  }

  /**
   * CRIU has restored all but pages: where nobody pages, all are put in their places.
   *
   * @param members PIDs on this host by those at home
   */
  void fill(Map<Integer, Integer> members) throws IOException {
    if (pager != null) {
      return;
    }
    for (Plan plan : plans) {
      if (!plan.areas().isEmpty()) {
        Fill.fill(site.shim(), members.get(plan.pid()), plan, store, site.images(facts.id));
      }
    }
    store.close();
  }

  // ---- What is missing. ----

  private void askForMissing() throws IOException {
    Pager knowing = pager;
    if (knowing == null) {
      return;
    }
    knowing.follow(this); // tells again what is waited for
    askForRest(knowing);
  }

  private void askForRest(Pager knowing) throws IOException {
    if (facts.missingBytes == 0) {
      return;
    }
    PageStream asking = stream;
    FlushedMemory reading = flushed;
    if (reading != null) {
      for (int pid : facts.members) {
        for (Area range : knowing.missing(pid)) {
          reading.requests().miss(pid, range.start(), range.end());
        }
      }
      return;
    }
    if (asking == null) {
      return;
    }
    for (int pid : facts.members) {
      for (Area range : knowing.missing(pid)) {
        asking.send(
            new PageStream.Head(Pages.MISSING, pid, range.start(), range.end() - range.start()));
      }
    }
  }

  @Override
  public void wanted(int pid, long address) {
    PageStream asking = stream;
    FlushedMemory reading = flushed;
    try {
      if (reading != null) {
        reading.requests().want(pid, address);
      } else if (asking != null) {
        asking.send(new PageStream.Head(Pages.WANTED, pid, address, Area.PAGE));
      }
    } catch (IOException e) {
      LOG.debug("{}: asked again over the next stream: {}", facts.id, e.getMessage());
    }
  }

  @Override
  public void hungUp() throws IOException {
    Pager knowing = pager;
    if (knowing == null) {
      return;
    }
    knowing.follow(this);
    try {
      askForRest(knowing); // what was said last may be lost: it comes again
    } catch (IOException e) {
      LOG.warn("{}: asked again over the next stream: {}", facts.id, e.getMessage());
    }
  }

  @Override
  public void died() {
    if (facts.paged) {
      lose.accept("the pager, which had pages of its memory, was killed");
    }
  }

  /** Waits until all pages are where the process has them. */
  void awaitPlaced(Duration patience) throws IOException, InterruptedException {
    long deadline = System.nanoTime() + patience.toNanos();
    while (facts.paged && System.nanoTime() < deadline) {
      TimeUnit.MILLISECONDS.sleep(20);
    }
    checkPlaced();
  }

  /**
   * Nothing but the process itself sees pages that are not in place yet: CRIU takes them for empty.
   */
  void checkPlaced() throws IOException {
    if (facts.paged) {
      throw new IOException(
          "some of its memory is not in place yet at %s; try again in a moment"
              .formatted(site.host()));
    }
  }

  /** Looks after it; called about ten times a second while the process runs. */
  void watch() throws IOException {
    if (pager != null && facts.paged && !joined) {
      joinPager();
    }
    Pager asked = pager;
    if (asked == null || !facts.paged) {
      return;
    }
    List<Pager.Status> all = asked.status();
    long missing = all.stream().mapToLong(Pager.Status::missing).sum() * Area.PAGE;
    facts.faults = all.stream().mapToLong(Pager.Status::faults).sum();
    if (missing == 0 && facts.missingBytes > 0) {
      if (flushed != null) {
        facts.missingBytes = 0;
        forgetFlushed();
      } else {
        nothingIsMissing();
      }
    } else if (missing < facts.missingBytes) {
      facts.missingBytes = missing;
    }
    if (missing == 0 && all.stream().allMatch(status -> status.here() == 0)) {
      end();
    }
  }

  private void nothingIsMissing() throws IOException {
    facts.missingBytes = 0;
    facts.memoryComplete = true;
    site.journal().save(facts);
    tellComplete();
  }

  /** Home must hear it, or it goes on keeping what it has: told again over each new stream. */
  private void tellComplete() throws IOException {
    PageStream told = stream;
    if (told != null && told.lost() == null) {
      told.send(new PageStream.Head(Pages.COMPLETE, 0, facts.faults, 0));
    }
  }

  private void end() throws IOException {
    Pager ending = pager;
    facts.paged = false;
    pager = null;
    try {
      ending.quit();
    } catch (IOException e) {
      LOG.info("{}: its pager ends by itself: {}", facts.id, e.toString());
      ending.close();
    }
    store.close();
    site.journal().save(facts);
  }

  /** After the agent was started again: a former one has started the pager. */
  void takeUp() throws IOException {
    if (!facts.paged) {
      return;
    }
    if (!Files.exists(socket())) {
      // Nobody has killed it: while there was no agent it has put the last page in its place.
      facts.paged = false;
      forgetFlushed();
      if (facts.missingBytes > 0) {
        nothingIsMissing();
      } else {
        site.journal().save(facts);
      }
      return;
    }
    joined = false;
    try {
      joinPager();
    } catch (IOException e) {
      LOG.warn("{}: pages that are missing are asked for later: {}", facts.id, e.getMessage());
    }
  }

  /** What a former agent did for the pager; done anew by watch() until it succeeds. */
  private void joinPager() throws IOException {
    Pager before = pager;
    if (before != null) {
      before.close(); // one of the pager's processes may have been killed since
    }
    Pager found = findOrNull();
    pager = found;
    if (found == null) {
      died();
      return;
    }
    found.giveBack(store, facts.members);
    if (!facts.store.isEmpty() && flushed == null) {
      flushed = FlushedMemory.start(Path.of(facts.store), store, this::here);
    }
    askForMissing();
    joined = true;
  }

  /** The process is gone, or will never be. */
  void drop() throws IOException {
    facts.paged = false;
    Pager ending = pager;
    pager = null;
    if (ending == null && Files.exists(socket())) {
      ending = findOrNull();
    }
    if (ending != null) {
      ending.quit();
    }
    Files.deleteIfExists(socket());
    store.close();
    forgetFlushed();
  }

  private void forgetFlushed() throws IOException {
    FlushedMemory reading = flushed;
    flushed = null;
    if (reading != null) {
      reading.close();
    }
    if (!facts.store.isEmpty()) {
      FlushedMemory.remove(Path.of(facts.store));
    }
  }

  private Pager findOrNull() {
    try {
      return Pager.find(socket());
    } catch (IOException e) {
      LOG.debug("{}: its pager has ended: {}", facts.id, e.getMessage());
      return null;
    }
  }
}
