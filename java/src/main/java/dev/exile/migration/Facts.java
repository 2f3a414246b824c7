package dev.exile.migration;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import dev.exile.ipc.SysvObject;
import dev.exile.memory.Round;
import dev.exile.negotiation.Refusal;
import dev.exile.process.ProcessState;
import dev.exile.sockets.Felt;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What is known of one migration on one host: the journal's content, and what operators are shown.
 * Changed by whoever advances the migration; others may see single fields change.
 */
@JsonAutoDetect(fieldVisibility = JsonAutoDetect.Visibility.NON_PRIVATE)
@JsonIgnoreProperties(ignoreUnknown = true)
public final class Facts {
  /** The journal's format; a reader refuses a newer one. */
  static final int FORMAT = 1;

  int format = FORMAT;

  /** The migration, the same on both hosts. */
  public String id = "";

  /** This host's part: home or destination. */
  public String role = "";

  /** Name of the state. */
  public String state = "";

  /** Why the last state was entered. */
  public String reason = "";

  /** The process's command name. */
  public String command = "";

  /** Its PID at home. */
  public int pid;

  /** Where it comes from. */
  public String from = "";

  /** Where it goes. */
  public String to = "";

  /** At home: the leg that has brought it to where it is; empty: the migration itself has. */
  volatile String leg = "";

  /** At home: the number of the latest leg, whatever became of it. */
  int legs = 1;

  /** At home: the hosts that it has been on, in order; replaced, never changed. */
  public volatile List<String> way = List.of();

  /** At home: where it still stands should the latest leg be undone; empty once it cannot be. */
  String unsettledHost = "";

  /** At home: the leg that had brought it there. */
  String unsettledLeg = "";

  /** Name of the algorithm. */
  public String algorithm = "";

  /** When it began, in milliseconds since 1970. */
  public long startedMillis;

  /** From freeze to resume; 0 before. */
  public long frozenMillis;

  /** From the request to the end of the move; 0 before. */
  public long totalMillis;

  /** Bytes of images and pages that crossed the network. */
  public volatile long bytesTransferred;

  /** Resident memory when it was surveyed, in bytes. */
  public long residentBytes;

  /** At home: the passes over its memory while it ran. */
  public List<Round> rounds = List.of();

  /**
   * Bytes of its memory that had not been sent when it was resumed; at the destination those that
   * are still missing.
   */
  public volatile long missingBytes;

  /** Some of it was missing at the destination, and nothing is any more. */
  volatile boolean memoryComplete;

  /** Touches of pages that had to wait for them. */
  public volatile long faults;

  /** At home: from its resume until nothing was missing any more, in milliseconds; 0: at once. */
  public volatile long dependsOnHomeMillis;

  /** At home: for memory on the network, in bytes per second; 0: no limit. */
  long bytesPerSecond;

  /** The directory that its memory was flushed to; empty where it was not. */
  public String store = "";

  /** At the destination: a pager has pages of it that are not in their places. */
  volatile boolean paged;

  /** What went otherwise than asked for; empty where nothing did. */
  public String note = "";

  /** Connections that were relayed at the move. */
  public int established;

  /** From the freeze until all sockets were taken, in microseconds; at home only. */
  public long takeMicros;

  /** Until all sockets were connected at the destination, in microseconds. */
  public long reconnectMicros;

  /** At home: what the clients felt; replaced, never changed. */
  public volatile Felt felt = Felt.NOTHING;

  /** Listening sockets. */
  public int listening;

  /**
   * Paths where its unix sockets are bound, with their inodes; at the destination 0 before they are
   * restored. Empty once they are removed.
   */
  Map<String, Long> unixPaths = Map.of();

  /** At home: bound UDP sockets, which are parked apart from others; 0 for none. */
  int datagrams;

  /** At the destination: the device that UDP sockets are bound to; empty where there is none. */
  String device = "";

  /** At the destination: local ports of those sockets. */
  Set<Integer> datagramPorts = Set.of();

  /** How long each state lasted, in milliseconds, in order; replaced, never changed. */
  volatile Map<String, Long> phaseMillis = new LinkedHashMap<>();

  /** Why it was refused. */
  public List<Refusal> refusals = new ArrayList<>();

  /** The cgroup that the tree stands frozen in, empty where there is none. */
  String cgroup = "";

  /** Where each process of the tree came from, by PID; replaced, never changed. */
  volatile Map<Integer, String> origins = Map.of();

  /** Start time of the tree's root at home, in clock ticks since boot. */
  long startTicks;

  /** The destination's cell: its init's PID, 0 where there is none, and start time. */
  int cellInit;

  long cellStartTicks;

  /** The listeners to be relayed, by key; replaced, never changed. */
  volatile Map<Integer, String> listenerAddresses = Map.of();

  /** At the destination: where listeners are that could not be bound as at home, by key. */
  volatile Map<Integer, String> listenerBinds = Map.of();

  /** At the destination: the root's process group is orphaned. */
  boolean orphaned;

  /**
   * At a host that it leaves: the leg that is to come, or came; empty where it has not moved on.
   */
  volatile String nextLeg = "";

  /** At the destination, about to move on: only home's word thaws it. */
  volatile boolean held;

  /** At home: the SysV objects that travelled. */
  List<SysvObject> sysvObjects = List.of();

  /** At home: the files of /dev/shm that travelled, with their inodes. */
  Map<String, Long> sharedFiles = Map.of();

  /** At home: signals that were sent in exile and delivered after it, by number; replaced. */
  public volatile Map<Integer, Long> signalsHeld = Map.of();

  /** At home: signals that were sent since, and delivered, by number; replaced. */
  public volatile Map<Integer, Long> signalsForwarded = Map.of();

  /** The processes that were frozen to travel, as home and the cell number them. */
  List<Integer> members = List.of();

  /** At home: start times of the members, in clock ticks since boot, by PID, in their order. */
  Map<Integer, Long> memberStarts = Map.of();

  /** At the destination: what the root is stopped by, 0 while it runs. */
  int stopSignal;

  /** As from wait(2), once the process has ended. */
  int waitStatus;

  /** At the destination: the root has ended, {@link #waitStatus} is its own. */
  boolean rootEnded;

  /** At the destination: home knows of the end, and nothing is left here. */
  boolean homeTold;

  /** At the destination: the root's PID as this host counts, 0 before it is restored. */
  public int rootHere;

  /** EXILE from the freeze to the resume; null where /proc is to be asked, or the other host. */
  public volatile ProcessState processState;

  /** The state that the root had before exile; null before. */
  volatile ProcessState stateBefore;

  /** At home: the process has ended by itself before COMMIT. */
  public boolean exited;

  /** The leg by which the host where it runs knows it. */
  public String currentLeg() {
    return leg.isEmpty() ? id : leg;
  }

  /** At home: {@link #dependsOnHomeMillis}, or -1 while some of its memory is still missing. */
  public long dependsOnHome() {
    return missingBytes > 0 && !memoryComplete ? -1 : dependsOnHomeMillis;
  }

  /** So many more bytes of images or pages have crossed the network. */
  synchronized void sent(long bytes) {
    bytesTransferred += bytes;
  }

  /** How long each state lasted, in milliseconds, by its name in lower case, in order. */
  public Map<String, Long> phases() {
    return phaseMillis;
  }
}
