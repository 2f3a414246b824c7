package dev.exile.negotiation;

import dev.exile.linux.UnixDiag;
import dev.exile.linux.UnixDiag.UnixSocket;
import dev.exile.process.Proc;
import dev.exile.process.ProcessInfo;
import dev.exile.sockets.TakenSockets.OtherSocket;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The unix sockets of a process tree: those inside the tree travel with what is in their queues;
 * datagram sockets may be connected to a path, which the destination must have, too; others that
 * are connected to a process that stays cannot travel.
 */
public final class UnixSurvey {
  private final Map<Integer, UnixSocket> table = new HashMap<>();
  private final Map<Integer, OtherSocket> ours = new HashMap<>();

  private final List<Refusal> refusals = new ArrayList<>();
  private final Set<String> needed = new LinkedHashSet<>();
  private final Set<String> bound = new LinkedHashSet<>();

  private UnixSurvey() {}

  /**
   * What was found.
   *
   * @param refusals why it cannot travel
   * @param needed paths at which the destination must have a datagram socket
   * @param bound names that must be free there, with a NUL before an abstract one
   */
  public record Findings(List<Refusal> refusals, Set<String> needed, Set<String> bound) {}

  /** Looks at those among the sockets. */
  public static Findings of(List<OtherSocket> sockets) throws IOException {
    UnixSurvey survey = new UnixSurvey();
    for (OtherSocket socket : sockets) {
      if (socket.domain() == UnixDiag.AF_UNIX) {
        survey.ours.put(socket.inode(), socket);
      }
    }
    if (!survey.ours.isEmpty()) {
      survey.look();
    }
    return new Findings(List.copyOf(survey.refusals), survey.needed, survey.bound);
  }

  private void look() throws IOException {
    for (UnixSocket socket : UnixDiag.all()) {
      table.put(socket.inode(), socket);
    }
    for (OtherSocket socket : ours.values()) {
      UnixSocket found = table.get(socket.inode());
      if (found != null) {
        look(found, where(socket));
      }
    }
  }

  private void look(UnixSocket socket, String where) throws IOException {
    boolean accepted = !socket.listening() && socket.type() != UnixDiag.DGRAM;
    if (!socket.name().isEmpty() && !(accepted && socket.peer() != 0)) {
      bound.add(socket.name()); // what was accepted only shows its listener's name
    }
    for (int client : socket.waiting()) {
      if (client != 0 && !ours.containsKey(client)) {
        refuse(
            "%s listens at %s, and a connection from %s waits there"
                .formatted(where, shown(socket.name()), holder(client)),
            "let the process accept it, and move what it talks to as one tree");
      }
    }
    if (socket.peer() == 0 || ours.containsKey(socket.peer())) {
      return;
    }
    UnixSocket peer = table.get(socket.peer());
    String name = peer == null ? "" : peer.name();
    if (socket.type() == UnixDiag.DGRAM && name.startsWith("/")) {
      needed.add(name);
    } else {
      refuse(
          "%s is a unix socket connected to %s%s"
              .formatted(
                  where,
                  holder(socket.peer()),
                  name.isEmpty() ? "" : ", which stays, at " + shown(name)),
          "end the connection, or move both as one tree");
    }
  }

  private static String where(OtherSocket socket) {
    String command = Proc.info(socket.pid()).map(ProcessInfo::command).orElse("?");
    return "descriptor %d of process %d (%s)".formatted(socket.fd(), socket.pid(), command);
  }

  private void refuse(String what, String remedy) {
    refusals.add(new Refusal(what, remedy));
  }

  /** As ss(8) shows it. */
  private static String shown(String name) {
    return name.replace('\0', '@');
  }

  /** Who holds a socket of another process; only asked for the sake of a refusal. */
  private static String holder(int inode) {
    String target = "socket:[" + Integer.toUnsignedString(inode) + "]";
    for (ProcessInfo process : Proc.all()) {
      if (Proc.descriptors(process.pid()).containsValue(target)) {
        return "process %d (%s)".formatted(process.pid(), process.command());
      }
    }
    return "a process that is not in the tree";
  }
}
