package dev.exile.process;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The running states of a process, as the paper's section 2 and its figures 5 to 10 have them: the
 * nine-state model of UNIX (figure 9), and the state that the paper adds, exile (figure 10).
 *
 * <pre>
 *                  USER_RUNNING -> KERNEL_RUNNING -> PREEMPTED      (ways into exile, and back)
 *                                                        |
 *   NEW (none)                      SUSPENDED_READY -> READY   &lt;---&gt; EXILE
 *                                 SUSPENDED_BLOCKED -> BLOCKED &lt;---&gt; EXILE
 * </pre>
 *
 * The smaller models are views: each says less of the same state ({@link #two} to {@link #nine}).
 *
 * <p><b>Exile.</b> It is entered from READY and from BLOCKED only. A NEW process is not moved: that
 * would be remote execution. A running one goes through READY, a suspended one is brought into
 * memory first. From EXILE a process goes back into the state that it was in, and nowhere else
 * ({@link Course}).
 *
 * <p><b>What Linux tells</b> ({@link #read}) is less than the model knows, and two of the states
 * are an approximation:
 *
 * <ul>
 *   <li>R stands for a process that has a processor and for one that waits for it. It is read as
 *       USER_RUNNING; NEW, PREEMPTED, READY and KERNEL_RUNNING are passed through, never read.
 *   <li>Linux swaps pages, not processes. One that has more bytes in the swap than in memory
 *       (VmSwap over VmRSS, proc_pid_status(5)) counts as suspended. CRIU's dump, which reads every
 *       page, brings it into memory.
 *   <li>A stopped or traced process (T, t) waits for an event, SIGCONT: it is BLOCKED.
 * </ul>
 */
public enum ProcessState {
  /** Being created; nothing of it is in memory yet. */
  NEW,
  /** Executes its own instructions. */
  USER_RUNNING,
  /** Executes in the kernel. */
  KERNEL_RUNNING,
  /** Lacks only the processor, which it lost on its way out of the kernel. */
  PREEMPTED,
  /** Lacks only the processor. */
  READY,
  /** Waits for an event. */
  BLOCKED,
  /** As READY, swapped out. */
  SUSPENDED_READY,
  /** As BLOCKED, swapped out. */
  SUSPENDED_BLOCKED,
  /** Has ended; its parent has not waited for it yet. */
  ZOMBIE,
  /** On its way to another host: it stands still, what others ask of it is taken in and kept. */
  EXILE;

  /** The two-state model, figure 5. */
  public enum Two {
    RUNNING,
    NOT_RUNNING
  }

  /** The three-state model, figure 6 (MINIX). */
  public enum Three {
    RUNNING,
    READY,
    BLOCKED
  }

  /** The five-state model, figure 7. */
  public enum Five {
    NEW,
    RUNNING,
    READY,
    WAITING,
    TERMINATED
  }

  /** The seven-state model, figure 8. */
  public enum Seven {
    NEW,
    RUNNING,
    READY,
    BLOCKED,
    SUSPENDED_READY,
    SUSPENDED_BLOCKED,
    TERMINATED
  }

  private static final Map<ProcessState, Set<ProcessState>> MOVES =
      new EnumMap<>(ProcessState.class);

  static {
    MOVES.put(NEW, EnumSet.of(READY, SUSPENDED_READY));
    MOVES.put(USER_RUNNING, EnumSet.of(KERNEL_RUNNING));
    MOVES.put(KERNEL_RUNNING, EnumSet.of(USER_RUNNING, PREEMPTED, BLOCKED, ZOMBIE));
    // PREEMPTED and READY are one queue; they differ in how a process gets there.
    MOVES.put(PREEMPTED, EnumSet.of(USER_RUNNING, READY));
    MOVES.put(READY, EnumSet.of(KERNEL_RUNNING, SUSPENDED_READY, ZOMBIE, EXILE));
    MOVES.put(BLOCKED, EnumSet.of(READY, SUSPENDED_BLOCKED, ZOMBIE, EXILE));
    MOVES.put(SUSPENDED_READY, EnumSet.of(READY));
    MOVES.put(SUSPENDED_BLOCKED, EnumSet.of(SUSPENDED_READY, BLOCKED));
    MOVES.put(ZOMBIE, EnumSet.noneOf(ProcessState.class));
    MOVES.put(EXILE, EnumSet.of(READY, BLOCKED));
  }

  /** The states that may follow this one; after EXILE see {@link Course} for which of the two. */
  public Set<ProcessState> next() {
    return EnumSet.copyOf(MOVES.get(this));
  }

  /** Whether the model has this move. */
  public boolean mayBecome(ProcessState to) {
    return MOVES.get(this).contains(to);
  }

  /**
   * The moves by which a process of this state gets into exile, the last of them EXILE itself. A
   * suspended one comes into memory as what it is, and a running one goes through READY.
   *
   * @throws IllegalStateException from NEW, from ZOMBIE and in EXILE: there is no way
   */
  public List<ProcessState> wayIntoExile() {
    return switch (this) {
      case USER_RUNNING -> List.of(KERNEL_RUNNING, PREEMPTED, READY, EXILE);
      case KERNEL_RUNNING -> List.of(PREEMPTED, READY, EXILE);
      case PREEMPTED, SUSPENDED_READY -> List.of(READY, EXILE);
      case SUSPENDED_BLOCKED -> List.of(BLOCKED, EXILE);
      case READY, BLOCKED -> List.of(EXILE);
      case NEW, ZOMBIE, EXILE ->
          throw new IllegalStateException("no process goes from " + this + " into EXILE");
    };
  }

  // ---- The models as views. ----

  /** In the two-state model. */
  public Two two() {
    return switch (this) {
      case USER_RUNNING, KERNEL_RUNNING -> Two.RUNNING;
      case NEW, PREEMPTED, READY, BLOCKED, SUSPENDED_READY, SUSPENDED_BLOCKED, ZOMBIE, EXILE ->
          Two.NOT_RUNNING;
    };
  }

  /**
   * In the three-state model, which knows processes neither before nor after their life and none
   * that are not in this memory.
   */
  public Optional<Three> three() {
    return switch (this) {
      case USER_RUNNING, KERNEL_RUNNING -> Optional.of(Three.RUNNING);
      case PREEMPTED, READY -> Optional.of(Three.READY);
      case BLOCKED -> Optional.of(Three.BLOCKED);
      case SUSPENDED_READY, SUSPENDED_BLOCKED, NEW, ZOMBIE, EXILE -> Optional.empty();
    };
  }

  /** In the five-state model: swapping is not seen in it; empty in exile. */
  public Optional<Five> five() {
    return switch (this) {
      case NEW -> Optional.of(Five.NEW);
      case USER_RUNNING, KERNEL_RUNNING -> Optional.of(Five.RUNNING);
      case PREEMPTED, READY, SUSPENDED_READY -> Optional.of(Five.READY);
      case BLOCKED, SUSPENDED_BLOCKED -> Optional.of(Five.WAITING);
      case ZOMBIE -> Optional.of(Five.TERMINATED);
      case EXILE -> Optional.empty();
    };
  }

  /** In the seven-state model, to which figure 10 adds exile; empty there. */
  public Optional<Seven> seven() {
    return switch (this) {
      case NEW -> Optional.of(Seven.NEW);
      case USER_RUNNING, KERNEL_RUNNING -> Optional.of(Seven.RUNNING);
      case PREEMPTED, READY -> Optional.of(Seven.READY);
      case BLOCKED -> Optional.of(Seven.BLOCKED);
      case SUSPENDED_READY -> Optional.of(Seven.SUSPENDED_READY);
      case SUSPENDED_BLOCKED -> Optional.of(Seven.SUSPENDED_BLOCKED);
      case ZOMBIE -> Optional.of(Seven.TERMINATED);
      case EXILE -> Optional.empty();
    };
  }

  /** In the nine-state model, this one without exile; empty there. */
  public Optional<ProcessState> nine() {
    return this == EXILE ? Optional.empty() : Optional.of(this);
  }

  // ---- What /proc tells. ----

  /** The state of a process on this host, or nothing where there is none of that PID. */
  public static Optional<ProcessState> read(int pid) {
    return Proc.info(pid)
        .map(process -> of(process.state(), bytes(pid, "VmSwap"), bytes(pid, "VmRSS")));
  }

  /** Zombies and threads of the kernel have neither line. */
  private static long bytes(int pid, String key) {
    return Proc.status(pid, key).map(v -> Long.parseLong(v.split(" ", -1)[0]) * 1024).orElse(0L);
  }

  /**
   * What proc_pid_stat(5) and proc_pid_status(5) say.
   *
   * @param letter of the process: R, S, D, I, T, t, Z, X, ...
   * @param swapped bytes in the swap
   * @param resident bytes in memory
   * @throws IllegalArgumentException where the letter is none that is known
   */
  static ProcessState of(char letter, long swapped, long resident) {
    boolean suspended = swapped > resident;
    return switch (letter) {
      case 'R' -> suspended ? SUSPENDED_READY : USER_RUNNING;
      case 'S', 'D', 'I', 'T', 't', 'K', 'W', 'P' -> suspended ? SUSPENDED_BLOCKED : BLOCKED;
      case 'Z', 'X', 'x' -> ZOMBIE;
      default -> throw new IllegalArgumentException("no state of a process is called " + letter);
    };
  }

  /**
   * The moves of one process, each checked. In exile it knows the state that the process was in,
   * and leads back to that one only.
   *
   * <p>Not thread-safe.
   */
  public static final class Course {
    private ProcessState state;
    private ProcessState before;

    /** A process in this state. */
    public Course(ProcessState state) {
      this(state, null);
    }

    /** A process of which a record tells; `before` only counts in exile. */
    public Course(ProcessState state, ProcessState before) {
      this.state = state;
      this.before = state == EXILE ? before : null;
      if (state == EXILE && (before == null || !EXILE.mayBecome(before))) {
        throw new IllegalStateException("no process is in EXILE that was " + before);
      }
    }

    /** Where it stands. */
    public ProcessState state() {
      return state;
    }

    /** The state that it had before exile; empty where it is not there. */
    public Optional<ProcessState> before() {
      return Optional.ofNullable(before);
    }

    /**
     * One move.
     *
     * @throws IllegalStateException where the model does not have it: nothing has changed then
     */
    public void move(ProcessState to) {
      if (!state.mayBecome(to) || (state == EXILE && to != before)) {
        throw new IllegalStateException(
            "a process cannot go from %s to %s%s"
                .formatted(state, to, state == EXILE ? ": it was " + before + " before" : ""));
      }
      before = to == EXILE ? state : null;
      state = to;
    }

    /** Goes into exile, by whatever way the model has. */
    public void intoExile() {
      state.wayIntoExile().forEach(this::move);
    }

    /** Leaves exile into the state that the process was in. */
    public void outOfExile() {
      move(before().orElseThrow(() -> new IllegalStateException("not in EXILE but " + state)));
    }
  }
}
