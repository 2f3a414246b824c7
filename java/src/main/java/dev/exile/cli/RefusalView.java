package dev.exile.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import dev.exile.rpc.control.Refusal;
import java.util.List;

/** One reason for a refusal and what the operator can do about it. */
@JsonPropertyOrder({"what", "remedy"})
record RefusalView(String what, String remedy) {
  static List<RefusalView> of(List<Refusal> refusals) {
    return refusals.stream().map(r -> new RefusalView(r.getWhat(), r.getRemedy())).toList();
  }

  String line() {
    return "refused: " + what + (remedy.isEmpty() ? "" : ": " + remedy);
  }
}
