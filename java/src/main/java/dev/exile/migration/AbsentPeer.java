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
 * A host that the journal tells of and the configuration no longer does: what can be settled
 * without it is, the rest waits.
 *
 * @param host its name
 */
record AbsentPeer(String host) implements PeerLink {
  private IOException absent() {
    return new Lost(host + " is no longer among the peers in the configuration", null);
  }

  @Override
  public Answer negotiate(Offer offer) throws IOException {
    throw absent();
  }

  @Override
  public RestoreReply restore(RestoreRequest request) throws IOException {
    throw absent();
  }

  @Override
  public String commit(String id) throws IOException {
    throw absent();
  }

  @Override
  public String abort(String id) throws IOException {
    throw absent();
  }

  @Override
  public String ask(String id, Duration patience) throws IOException {
    throw absent();
  }

  @Override
  public String ended(EndedNotice notice) throws IOException {
    throw absent();
  }

  @Override
  public SignalReceipt deliver(SignalBatch batch) throws IOException {
    throw absent();
  }

  @Override
  public String observe(Observation seen) throws IOException {
    throw absent();
  }

  @Override
  public MoveReply move(MoveRequest request) throws IOException {
    throw absent();
  }

  @Override
  public Found look(Departure departure) throws IOException {
    throw absent();
  }

  @Override
  public RestoreRequest depart(Departure departure) throws IOException {
    throw absent();
  }

  @Override
  public String hold(Departure departure) throws IOException {
    throw absent();
  }

  @Override
  public String stay(Departure departure) throws IOException {
    throw absent();
  }

  @Override
  public String leave(Departure departure) throws IOException {
    throw absent();
  }

  @Override
  public Carrier carrier() throws IOException {
    throw absent();
  }
}
