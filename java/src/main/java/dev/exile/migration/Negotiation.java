package dev.exile.migration;

import dev.exile.memory.Algorithm;
import dev.exile.memory.Limits;
import dev.exile.negotiation.Host;
import dev.exile.negotiation.Refusal;
import dev.exile.negotiation.Survey;
import dev.exile.process.ProcessTree;
import dev.exile.rpc.peer.Answer;
import dev.exile.rpc.peer.Offer;
import dev.exile.signals.Rehearsal;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The negotiation: home's own reasons and the destination's, all at once. */
final class Negotiation {
  private Negotiation() {}

  /**
   * How it ended.
   *
   * @param refusals every reason why the tree cannot move; where there is none and it is no dry
   *     run, the destination has reserved room for it
   * @param streamed files that the destination lacks, and that home is to go on writing
   * @param pagesOnDemand whether the destination can run it before all its pages are there
   * @param store the directory for its memory that was made in the store; empty where it needs none
   */
  record Outcome(
      List<Refusal> refusals, List<String> streamed, boolean pagesOnDemand, String store) {}

  /** Negotiates. What is made in a store stays there only if all agree. */
  static Outcome run(
      String id,
      ProcessTree tree,
      Algorithm algorithm,
      Limits limits,
      PeerLink peer,
      Site site,
      boolean dryRun)
      throws IOException {
    Survey.Findings findings = Survey.of(tree, site.criu(), site.digests());
    List<Refusal> refusals = new ArrayList<>(findings.refusals());
    Rehearsal.unfit(site.shim(), site.deputies(), tree.pids())
        .forEach(
            (pid, why) ->
                refusals.add(
                    new Refusal(
                        "process %d could leave no deputy behind: %s".formatted(pid, why),
                        "start it without that")));
    List<String> streamed = new ArrayList<>();
    boolean pagesOnDemand = false;
    long needed = findings.offer().getImageBytes();
    long room = Host.usableSpace(site.images());
    if (room < needed) {
      refusals.add(
          new Refusal(
              "no room for the images: %s on %s has %d MB free, up to %d MB are needed"
                  .formatted(site.images(), site.host(), room >> 20, needed >> 20),
              "free space there, or set 'images' in the agent's configuration to a larger file"
                  + " system"));
    }
    String store = algorithm.flushes() ? makeStore(limits.store(), id, refusals) : "";
    Offer offer =
        findings.offer().toBuilder()
            .setId(id)
            .setStore(store)
            .setAlgorithm(algorithm.name())
            .setDryRun(dryRun || !refusals.isEmpty())
            .build();
    try {
      Answer answer = peer.negotiate(offer);
      answer
          .getRefusalsList()
          .forEach(reason -> refusals.add(new Refusal(reason.getWhat(), reason.getRemedy())));
      streamed.addAll(answer.getStreamedList());
      pagesOnDemand = answer.getPagesOnDemand();
      if (algorithm.needsOnDemand() && !pagesOnDemand) {
        refusals.add(
            new Refusal(
                "%s has no userfaultfd(2), %s cannot work there"
                    .formatted(peer.host(), algorithm.name()),
                "use --algorithm pre-copy or total-copy"));
      }
    } catch (PeerLink.Lost e) {
      refusals.add(
          new Refusal(
              "cannot reach " + e.getMessage(),
              "see whether its agent runs and the network lets us through"));
    } catch (PeerLink.Refused e) {
      refusals.add(new Refusal(e.getMessage(), "see the agent's log on " + peer.host()));
    }
    if (!store.isEmpty() && (dryRun || !refusals.isEmpty())) {
      FlushedMemory.remove(Path.of(store));
    }
    return new Outcome(refusals, streamed, pagesOnDemand, store);
  }

  /** Whether the destination sees it there tells whether it is the same store. */
  private static String makeStore(String store, String id, List<Refusal> refusals) {
    Path directory = FlushedMemory.directory(Path.of(store), id);
    if (!Files.isDirectory(Path.of(store))) {
      refusals.add(
          new Refusal(
              "there is no directory " + store + " to flush memory to",
              "name a directory with --store that both hosts have mounted"));
      return "";
    }
    try {
      return Directories.create(directory).toString();
    } catch (IOException e) {
      refusals.add(
          new Refusal(
              "cannot make %s: %s".formatted(directory, e),
              "let root write there, or take another"));
      return "";
    }
  }
}
