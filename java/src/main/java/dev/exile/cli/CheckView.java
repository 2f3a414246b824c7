package dev.exile.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import dev.exile.rpc.control.CheckReply;
import java.util.List;

/**
 * A negotiation as {@code -o json} prints it.
 *
 * @param outcome accepted or refused
 */
@JsonPropertyOrder({"pid", "command", "from", "to", "algorithm", "outcome", "accepted", "refusals"})
record CheckView(
    int pid,
    String command,
    String from,
    String to,
    String algorithm,
    String outcome,
    boolean accepted,
    List<RefusalView> refusals) {
  static CheckView of(CheckReply reply, String algorithm) {
    return new CheckView(
        reply.getPid(),
        reply.getCommand(),
        reply.getFrom(),
        reply.getTo(),
        algorithm,
        reply.getAccepted() ? "accepted" : "refused",
        reply.getAccepted(),
        RefusalView.of(reply.getRefusalsList()));
  }
}
