/*
 * The cell's init: PID 1 of the namespace in which a process is restored under its old PID.
 *
 *   START --hook: reached--> DECIDING --hook: released--> RELEASED --hook: resumed--> RESUMED
 *     |                         |                            |
 *     +-- CRIU fails, or        +-- hook: abort, or          +-- CRIU fails:
 *         the agent dies            the hook dies                all is killed, then reported
 *
 * Two facts of CRIU shape this. It ignores the exit code of a pre-resume script and resumes all the same: so
 * the hook stops CRIU (SIGSTOP) before it asks the agent, and an abort, like the death of the hook, means
 * that the init kills everything while CRIU still stands. And CRIU's own failure may leave tasks behind: so
 * `failed` is reported only when nothing else lives in the cell; whoever reads it may let the process run on
 * at home.
 */
#include "cell.h"
#include "criu.h"
#include "hold.h"
#include "seat.h"
#include "shm.h"
#include "sys.h"
#include "talk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FAILED_RETRY_MS = 100,
    FAILED_TIMEOUT_MS = 5000,
    EXITED_RETRY_MS = 200,
    NEWS_SLOW_AFTER_MS = 10000,
    NEWS_SLOW_RETRY_MS = 1000,
    EXITED_SLOW_AFTER_MS = 10000,
    EXITED_SLOW_RETRY_MS = 2000,
    UNKNOWN = -1,
};

enum stage { START, DECIDING, RELEASED, RESUMED };

struct init {
    const struct cell *cell;
    enum stage stage;
    int signals;
    int lifeline; /* -1 once the hook was reached: from there the agent may come back */
    int hook;     /* pidfd while it decides, or -1 */
    bool hook_gone;
    pid_t criu;
    bool criu_gone;
    int criu_status;
    bool root_gone;
    int root_status;
    bool childless;
    int root_stop;   /* the signal that stopped it, 0 while it runs */
    int told_stop;   /* what the agent last acknowledged of that; UNKNOWN while it is asked to */
    int asking_stop; /* what it is being told */
    struct talk news;
    bool talking;
    bool answered;
    bool doomed; /* failed: everything is being killed */
    uint64_t give_up;
    struct talk talk;
};

static int set_up(const struct cell *cell)
{
    char before[16];

    if (setsid() < 0 && errno != EPERM)
        return -errno;
    /* Without this our /proc would be mounted over the host's. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return -errno;
    if (chdir("/") < 0)
        return -errno;
    /*
     * The next fork gets first_pid: CRIU and its hooks stay out of the way of the PIDs that CRIU will ask
     * for. The file is the namespace's own. Past pid_max the kernel wraps around to low numbers.
     */
    snprintf(before, sizeof(before), "%d", cell->first_pid - 1);
    if (cell->seat) {
        int error = seat_make(cell->seat);

        if (error < 0)
            return error;
    }
    if (cell->shm) {
        int error = shm_make(cell->shm);

        if (error < 0)
            return error;
    }
    return sys_write_at(AT_FDCWD, "/proc/sys/kernel/ns_last_pid", before);
}

static int open_signals(void)
{
    sigset_t set;
    int fd;

    /*
     * The kernel drops every signal to a namespace's init that has the default disposition, unless it is
     * blocked: a blocked one queues, and signalfd reads it. So these six and SIGCHLD arrive, and no other
     * can do anything, except SIGKILL and SIGSTOP from outside.
     */
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGNAL_REACHED);
    sigaddset(&set, SIGNAL_RELEASED);
    sigaddset(&set, SIGNAL_RESUMED);
    sigaddset(&set, SIGNAL_ABORT);
    sigaddset(&set, SIGNAL_FOREGROUND);
    sigaddset(&set, SIGNAL_BACKGROUND);
    for (int number = 1; number < SIGRTMAX; number++)
        signal(number, SIG_DFL);
    /* Ignored, it lets us change our terminal's foreground group from the background. */
    signal(SIGTTOU, SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return -errno;
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Everything in the cell but us gets SIGKILL, in whatever state it is; the reaping then follows. */
static void doom(struct init *init)
{
    if (init->doomed)
        return;
    init->doomed = true;
    kill(-1, SIGKILL);
}

static void close_hook(struct init *init)
{
    if (init->hook >= 0)
        close(init->hook);
    init->hook = -1;
}

static void on_signal(struct init *init, const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;

    if (number == SIGNAL_REACHED && init->stage == START) {
        init->stage = DECIDING;
        init->lifeline = -1;
        init->hook = sys_pidfd_open((pid_t)info->ssi_pid);
        init->hook_gone = init->hook < 0;
    } else if (number == SIGNAL_RELEASED && init->stage == DECIDING) {
        init->stage = RELEASED;
        close_hook(init);
    } else if (number == SIGNAL_RESUMED && init->stage == RELEASED) {
        init->stage = RESUMED;
    } else if (number == SIGNAL_ABORT && init->stage == DECIDING) {
        doom(init);
    } else if (number == SIGNAL_FOREGROUND && init->cell->seat) {
        seat_foreground(init->cell->seat, init->cell->root);
    } else if (number == SIGNAL_BACKGROUND && init->cell->seat) {
        seat_background(init->cell->seat);
    }
}

static void read_signals(struct init *init)
{
    struct signalfd_siginfo info;

    while (read(init->signals, &info, sizeof(info)) == sizeof(info))
        on_signal(init, &info);
}

static void reap(struct init *init)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
        if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
            if (pid == init->cell->root)
                init->root_stop = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
        } else if (pid == init->criu) {
            init->criu_gone = true;
            init->criu_status = status;
            init->criu = 0;
        } else if (pid == init->cell->root) {
            init->root_gone = true;
            init->root_status = status;
        }
    }
    init->childless = pid < 0 && errno == ECHILD;
}

static void begin_failed(struct init *init)
{
    char how[32];

    criu_describe(init->criu_status, how, sizeof(how));
    talk_begin(&init->talk, init->cell->socket, FAILED_RETRY_MS, "failed %s %s", init->cell->id, how);
    init->give_up = sys_now() + (uint64_t)FAILED_TIMEOUT_MS * 1000;
    init->talking = true;
}

static void begin_exited(struct init *init)
{
    talk_begin(&init->talk, init->cell->socket, EXITED_RETRY_MS, "exited %s %d %d", init->cell->id,
               init->cell->root, init->root_status);
    init->talk.slow_at = sys_now() + (uint64_t)EXITED_SLOW_AFTER_MS * 1000;
    init->talk.slow_retry_ms = EXITED_SLOW_RETRY_MS;
    init->talking = true;
}

static bool has_news(const struct init *init)
{
    return init->stage == RESUMED && !init->root_gone && init->root_stop != init->told_stop;
}

static void begin_news(struct init *init)
{
    struct talk *news = &init->news;

    if (init->root_stop)
        talk_begin(news, init->cell->socket, EXITED_RETRY_MS, "stopped %s %d %d", init->cell->id,
                   init->cell->root, init->root_stop);
    else
        talk_begin(news, init->cell->socket, EXITED_RETRY_MS, "continued %s %d", init->cell->id,
                   init->cell->root);
    news->slow_at = sys_now() + (uint64_t)NEWS_SLOW_AFTER_MS * 1000;
    news->slow_retry_ms = NEWS_SLOW_RETRY_MS;
    init->asking_stop = init->root_stop;
    init->told_stop = UNKNOWN;
}

/*
 * The parent at home is to see the root stop and go on. Told is the state as it is now, until the agent
 * acknowledges it: a stop that was over before it could be told is passed over. One that the agent may have
 * heard of is not, and until it has answered it hears nothing newer, which it might take in before. Others
 * than the root have their parent in here.
 */
static void step_news(struct init *init)
{
    struct talk *news = &init->news;

    if (!has_news(init)) {
        talk_end(news);
        return;
    }
    if (init->told_stop != UNKNOWN || (news->in.fd < 0 && init->asking_stop != init->root_stop))
        begin_news(init);
    if (!talk_step(news))
        return;
    if (strcmp(news->answer, "ok") != 0) {
        talk_again(news);
        return;
    }
    init->told_stop = init->asking_stop;
    talk_end(news);
}

/* Looks at what was learnt. -1: go on; otherwise the exit code. */
static int judge(struct init *init)
{
    const pid_t root = init->cell->root;
    bool resumed = init->stage == RESUMED;

    /*
     * Once it runs, CRIU has no say: its complaints after the resume must not kill the only copy. A CRIU that
     * is content without having been released has resumed on its own account, and home may have rolled back.
     */
    if (init->criu_gone && !resumed && (init->criu_status != 0 || init->stage != RELEASED))
        doom(init);
    /* CRIU was content, but no root came of it: it ended elsewhere, or --root named another. */
    if (init->childless && root && !init->root_gone)
        init->doomed = true;

    if (init->doomed) {
        if (init->childless && !init->talking)
            begin_failed(init);
        if (init->answered || (init->talking && sys_left_ms(init->give_up) == 0))
            return EXIT_FAILED;
        return -1;
    }
    if (init->root_gone && init->criu_gone && !init->talking)
        begin_exited(init);
    return init->childless && (init->answered || !root) ? EXIT_OK : -1;
}

static int timeout_ms(const struct init *init)
{
    int timeout = -1;

    if (init->talking && !init->answered)
        timeout = talk_timeout_ms(&init->talk);
    if (has_news(init)) {
        int left = talk_timeout_ms(&init->news);

        if (left >= 0 && (timeout < 0 || timeout > left))
            timeout = left;
    }
    if (init->talking && init->doomed) {
        int left = sys_left_ms(init->give_up);

        if (timeout < 0 || timeout > left)
            timeout = left;
    }
    return timeout;
}

static void step_talk(struct init *init)
{
    if (!init->talking || init->answered || !talk_step(&init->talk))
        return;
    if (strcmp(init->talk.answer, "ok") == 0) {
        init->answered = true;
        talk_end(&init->talk);
    } else {
        talk_again(&init->talk);
    }
}

/* The lifeline carries no data; only its end counts. */
static bool lifeline_cut(int lifeline)
{
    char ignored[64];
    ssize_t n = read(lifeline, ignored, sizeof(ignored));

    return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static int live(struct init *init)
{
    for (;;) {
        struct pollfd events[] = {
            {.fd = init->signals, .events = POLLIN},
            {.fd = init->lifeline, .events = POLLIN},
            {.fd = init->hook, .events = POLLIN},
            {.fd = init->talking && !init->answered ? init->talk.in.fd : -1, .events = POLLIN},
            {.fd = init->news.in.fd, .events = POLLIN},
        };
        int code;

        if (poll(events, 5, timeout_ms(init)) < 0 && errno != EINTR)
            return EXIT_FAILED;
        /* First the signals: what the hook said before it, or the agent, ended goes before that end. */
        read_signals(init);
        reap(init);
        init->hook_gone |= events[2].revents != 0;
        /* Whatever it had to say was queued before its end, and read above: it ended without a decision. */
        if (init->hook_gone && init->stage == DECIDING)
            doom(init);
        /* The agent is gone before anything was promised: home rolls back, and nobody waits for our report.
         */
        if (events[1].revents && init->lifeline >= 0 && lifeline_cut(init->lifeline))
            return EXIT_FAILED;
        step_news(init);
        step_talk(init);
        code = judge(init);
        if (code >= 0)
            return code;
    }
}

int init_run(const struct cell *cell, int report)
{
    struct init init = {.cell = cell, .hook = -1, .talk = {.in = {.fd = -1}}, .news = {.in = {.fd = -1}}};
    int error = set_up(cell);

    if (error < 0) {
        line_say(report, "error cannot set up the cell: %s", strerror(-error));
        return EXIT_FAILED;
    }
    prctl(PR_SET_NAME, "exile-cell");
    init.signals = open_signals();
    if (init.signals < 0) {
        line_say(report, "error cannot read signals: %s", strerror(-init.signals));
        return EXIT_FAILED;
    }
    /* stdout is a pipe to the agent that would never end. */
    if (sys_null(1) < 0 || sys_null(2) < 0) {
        line_say(report, "error cannot open /dev/null");
        return EXIT_FAILED;
    }
    /*
     * With --shell-job CRIU takes the tree's root, unless that leads its group, into its own group. It is to
     * stop there by the keyboard's signals where it does at home: for the kernel that is where its parent,
     * which is us, is of the same session and of another group.
     */
    init.criu = criu_spawn(cell->criu, cell->orphaned ? 0 : CRIU_LEADS, cell->seat ? cell->seat->slave : -1);
    if (init.criu < 0) {
        line_say(report, "error cannot fork: %s", strerror(-init.criu));
        return EXIT_FAILED;
    }
    /* CRIU's alone now: an end of a pipe that we kept would hide the process's own end of it. */
    if (sys_close_from(CRIU_FIRST_GIVEN) < 0) {
        line_say(report, "error cannot close what CRIU was given");
        return EXIT_FAILED;
    }
    /* Held as long as we live: what runs here gets no zeros for pages that the pager had. */
    error = cell->pager ? hold_take(cell->pager) : 0;
    if (error < 0) {
        line_say(report, "error cannot hold what the pager has: %s", strerror(-error));
        return EXIT_FAILED;
    }
    if (cell->seat)
        line_say(report, "ok %d", cell->seat->master);
    else
        line_say(report, "ok");
    close(report);
    return live(&init);
}
