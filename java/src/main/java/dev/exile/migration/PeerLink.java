package dev.exile.migration;

import dev.exile.rpc.peer.Answer;
import dev.exile.rpc.peer.Departure;
import dev.exile.rpc.peer.EndedNotice;
import dev.exile.rpc.peer.Found;
import dev.exile.rpc.peer.MoveReply;
import dev.exile.rpc.peer.MoveRequest;
import dev.exile.rpc.peer.Observation;
import dev.exile.rpc.peer.Offer;
import dev.exile.rpc.peer.RestoreReply;
import dev.exile.rpc.peer.RestoreRequest;
import dev.exile.rpc.peer.SignalBatch;
import dev.exile.rpc.peer.SignalReceipt;
import dev.exile.sockets.Carrier;
import java.io.IOException;
import java.time.Duration;

/**
 * The other agent of a migration. Every call has one of three outcomes: it returns, it throws
 * {@link Refused} (the other agent has answered with a failure), or it throws {@link Lost} (whether
 * the other agent did what it was asked is unknown).
 */
public interface PeerLink {
  /** The other host's name. */
  String host();

  /** See peer.proto, Negotiate. */
  Answer negotiate(Offer offer) throws IOException;

  /** See peer.proto, Restore. */
  RestoreReply restore(RestoreRequest request) throws IOException;

  /** Tells the destination that home has committed; returns its state, RUNNING or ENDED mostly. */
  String commit(String id) throws IOException;

  /** Tells the destination that home has rolled back; returns its state. */
  String abort(String id) throws IOException;

  /** Asks where the migration stands there; UNKNOWN where it is not known. */
  String ask(String id, Duration patience) throws IOException;

  /** Tells home that the process has ended; returns home's state. */
  String ended(EndedNotice notice) throws IOException;

  /** Delivers signals to the processes there; returns what is delivered, see peer.proto. */
  SignalReceipt deliver(SignalBatch batch) throws IOException;

  /** Tells home how the processes here stand; returns home's state. */
  String observe(Observation seen) throws IOException;

  /** Has home move a process of its own on; see peer.proto, Move. */
  MoveReply move(MoveRequest request) throws IOException;

  /** See peer.proto, Look. */
  Found look(Departure departure) throws IOException;

  /** See peer.proto, Depart. */
  RestoreRequest depart(Departure departure) throws IOException;

  /** See peer.proto, Hold; returns the state there. */
  String hold(Departure departure) throws IOException;

  /** See peer.proto, Stay; returns the state there. */
  String stay(Departure departure) throws IOException;

  /** See peer.proto, Leave; returns the state there. */
  String leave(Departure departure) throws IOException;

  /** Opens a new carrier connection. */
  Carrier carrier() throws IOException;

  /** The state that stands for a migration which an agent does not know. */
  String UNKNOWN = "UNKNOWN";

  /** The other agent could not be reached, or its answer was lost. */
  final class Lost extends IOException {
    private static final long serialVersionUID = 1;

    /** With what happened. */
    public Lost(String message, Throwable cause) {
      super(message, cause);
    }
  }

  /** The other agent has answered that it failed, or will not. */
  final class Refused extends IOException {
    private static final long serialVersionUID = 1;

    /** With the other agent's words. */
    public Refused(String message) {
      super(message);
    }
  }
}
