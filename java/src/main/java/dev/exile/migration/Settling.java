package dev.exile.migration;

import java.io.IOException;
import java.util.Optional;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What home does until it has succeeded, around COMMIT: it must not go on by a guess. */
final class Settling {
  private static final Logger LOG = LoggerFactory.getLogger(Settling.class);
  private static final long AGAIN_MILLIS = 500;

  private Settling() {}

  /**
   * Tells the host for which COMMIT has decided, until it knows. An unknown migration or silence is
   * no answer: it is asked again.
   *
   * @param leg as that host knows the migration
   * @param doubt hears each time why it is not settled
   * @return RUNNING or ENDED: the process runs there, or has run; ABORTED: that host affirms that
   *     it never did, and never will; empty where this agent is being stopped, and the next one
   *     will ask
   */
  static Optional<DestinationState> tellCommitted(
      PeerLink peer, String leg, Consumer<String> doubt) {
    do {
      try {
        String answer = peer.commit(leg);
        if (answer.equals(PeerLink.UNKNOWN)) {
          doubt.accept(peer.host() + " knows nothing of it any more; was that host restarted?");
          continue;
        }
        DestinationState there = DestinationState.valueOf(answer);
        switch (there) {
          case RUNNING, ENDED, ABORTED -> {
            return Optional.of(there);
          }
          default -> doubt.accept("at %s it is %s".formatted(peer.host(), answer));
        }
      } catch (IOException e) {
        doubt.accept("%s does not answer: %s".formatted(peer.host(), e.getMessage()));
      }
    } while (pause());
    return Optional.empty();
  }

  /**
   * Writes the journal until the disk has taken it: before that nothing may run, for an agent that
   * is started after this one takes the disk's word.
   *
   * @return false where this agent is being stopped instead
   */
  static boolean save(Journal journal, Facts facts) {
    do {
      try {
        journal.save(facts);
        return true;
      } catch (IOException e) {
        LOG.error("{}: stands still until the journal can be written: {}", facts.id, e.toString());
      }
    } while (pause());
    return false;
  }

  /** Before something is tried again; false where this agent is being stopped. */
  static boolean pause() {
    try {
      Thread.sleep(AGAIN_MILLIS);
      return true;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
