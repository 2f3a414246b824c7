/*
 * The deputy: what a process leaves behind at home, under its own PID. Executed in place by deputize, with
 * all signals blocked, and whatever was pending still pending.
 *
 *   deputy -> agent   deputy ID PID SEQ            on every connection; SEQ: the next signal's number
 *                     held|signal ID PID SEQ TID SIGINFO
 *                                                  TID 0: to the process; else the PID, to its first thread.
 *                                                  held: it was pending before this was a deputy
 *   agent -> deputy   ok SEQ                       all up to SEQ are safe: never to be sent again
 *                     exit STATUS                  ends as the real process did; a raw wait status
 *                     stop SIGNAL                  stops as the real process did
 *
 * A signal is numbered when it is taken out of the kernel's queue, and kept until it is acknowledged; after
 * a new connection all that are kept are sent again, so the other side drops the numbers that it knows. While
 * the agent is away, or does not acknowledge, nothing is taken: the kernel's queue coalesces and refuses as
 * it always does.
 *
 * The process's old memory may live on in a child of ours (memory.h), which does nothing; at its end it is reaped.
 *
 * None of the process's descriptors stays open: what must stay, others hold, and whoever has the other end of
 * a pipe is to see its end when they let go.
 */
#include "deputy.h"
#include "lines.h"
#include "memory.h"
#include "proc.h"
#include "queue.h"
#include "siginfo.h"
#include "sys.h"
#include "talk.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RETRY_MS = 1000,
    WINDOW = 64,
};

struct kept {
    pid_t tid;
    siginfo_t info;
};

struct deputy {
    const char *id;
    const char *path;
    char *stands; /* in our environment, where the job watch reads it */
    int memory;  /* a pidfd of who has our old memory, or -1 */
    int signals; /* a signalfd, only to be polled */
    struct kept kept[WINDOW]; /* number n is at n % WINDOW */
    uint64_t next;            /* number of the next signal */
    uint64_t oldest;          /* the oldest that is kept; == next: none is */
    uint64_t held;            /* numbers below were pending when we began */
    struct lines in;          /* in.fd: the connection, or -1 */
    pid_t agent;
    uint64_t next_try;
};

static void hang_up(struct deputy *deputy)
{
    if (deputy->in.fd >= 0)
        close(deputy->in.fd);
    deputy->in.fd = -1;
    deputy->in.used = 0;
    deputy->next_try = sys_now() + (uint64_t)RETRY_MS * 1000;
}

/* What is unacknowledged always fits into a socket's buffer: if this does not, nobody reads. */
static void say(struct deputy *deputy, const char *line, int size)
{
    if (deputy->in.fd >= 0 && send(deputy->in.fd, line, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT) != size)
        hang_up(deputy);
}

static void say_signal(struct deputy *deputy, uint64_t number)
{
    const struct kept *kept = &deputy->kept[number % WINDOW];
    char text[SIGINFO_TEXT];
    char line[LINE_SIZE];

    siginfo_print(&kept->info, text);
    say(deputy, line,
        snprintf(line, sizeof(line), "%s %s %d %llu %d %s\n", number < deputy->held ? "held" : "signal",
                 deputy->id, getpid(), (unsigned long long)number, kept->tid, text));
}

static void try_connect(struct deputy *deputy)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    char line[LINE_SIZE];
    int fd = talk_connect(deputy->path);

    if (fd < 0) {
        hang_up(deputy);
        return;
    }
    deputy->in.fd = fd;
    if (getsockopt(deputy->in.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        deputy->agent = peer.pid;
    say(deputy, line,
        snprintf(line, sizeof(line), "deputy %s %d %llu\n", deputy->id, getpid(),
                 (unsigned long long)deputy->next));
    for (uint64_t number = deputy->oldest; number < deputy->next; number++)
        say_signal(deputy, number);
}

/* An agent that continues us is told of no SIGCONT: it is the one that knows. */
static bool is_agents(const struct deputy *deputy, const siginfo_t *info)
{
    return info->si_signo == SIGCONT && info->si_code == SI_USER && info->si_pid == deputy->agent;
}

static bool is_full(const struct deputy *deputy)
{
    return deputy->next - deputy->oldest == WINDOW;
}

static void take_signals(struct deputy *deputy)
{
    while (deputy->in.fd >= 0 && !is_full(deputy)) {
        struct kept *kept = &deputy->kept[deputy->next % WINDOW];

        if (queue_take(&kept->tid, &kept->info) <= 0) {
            if (deputy->held > deputy->next)
                deputy->held = deputy->next;
            return;
        }
        if (is_agents(deputy, &kept->info))
            continue;
        say_signal(deputy, deputy->next++);
    }
}

static void acknowledged(struct deputy *deputy, uint64_t number)
{
    if (number >= deputy->oldest && number < deputy->next)
        deputy->oldest = number + 1;
}

/* Ends by this signal and no other, without a core file: the memory here is not the real process's. */
static void die_by(int number)
{
    const struct rlimit none = {0, 0};

    /* Where cores go to a pipe the kernel does not ask for the limit, only for this. */
    if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        _exit(128 + number);
    queue_raise(number);
    _exit(128 + number);
}

static void obey_exit(int status)
{
    if (WIFSIGNALED(status))
        die_by(WTERMSIG(status));
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
}

static void mark(struct deputy *deputy, const char *stands)
{
    if (deputy->stands && strlen(deputy->stands) == strlen(stands))
        memcpy(deputy->stands, stands, strlen(stands));
}

/*
 * What is pending is taken first: a SIGCONT among it is older than this stop. Marked, as one who comes to watch
 * us later sees that we stand, but not why.
 */
static void obey_stop(struct deputy *deputy, int number)
{
    if (number != SIGSTOP && number != SIGTSTP && number != SIGTTIN && number != SIGTTOU)
        return;
    take_signals(deputy);
    mark(deputy, DEPUTY_STANDS_OWN);
    queue_stop(number);
    mark(deputy, DEPUTY_STANDS_NOT);
}

static void obey(struct deputy *deputy, char *line)
{
    char *space = strchr(line, ' ');
    long number;

    if (!space)
        return;
    *space = 0;
    if (sys_parse_number(space + 1, 0, LONG_MAX, &number) < 0)
        return;
    if (strcmp(line, "ok") == 0)
        acknowledged(deputy, (uint64_t)number);
    else if (number > INT_MAX)
        return;
    else if (strcmp(line, "exit") == 0)
        obey_exit((int)number);
    else if (strcmp(line, "stop") == 0)
        obey_stop(deputy, (int)number);
}

static void read_commands(struct deputy *deputy)
{
    char line[LINE_SIZE];

    while (deputy->in.fd >= 0) {
        int error = lines_fill(&deputy->in);

        while (lines_next(&deputy->in, line))
            obey(deputy, line);
        if (error == -EAGAIN)
            return;
        if (error < 0)
            hang_up(deputy);
    }
}

static void live(struct deputy *deputy)
{
    for (;;) {
        bool connected = deputy->in.fd >= 0;
        struct pollfd events[] = {
            {.fd = deputy->in.fd, .events = POLLIN},
            {.fd = connected && !is_full(deputy) ? deputy->signals : -1, .events = POLLIN},
            {.fd = deputy->memory, .events = POLLIN},
        };

        if (poll(events, 3, connected ? -1 : sys_left_ms(deputy->next_try)) < 0 && errno != EINTR)
            sys_sleep_ms(RETRY_MS);
        /* It has ended, whoever has reaped it: polled on, it would never let us sleep again. */
        if (memory_reap() || events[2].revents) {
            if (deputy->memory >= 0)
                close(deputy->memory);
            deputy->memory = -1;
        }
        /* Commands first: what made the agent speak came before what is pending now. */
        read_commands(deputy);
        if (deputy->in.fd < 0 && sys_left_ms(deputy->next_try) == 0)
            try_connect(deputy);
        take_signals(deputy);
    }
}

/* Timers that outlive an exec tick for the real process at the destination. */
static void disarm_timers(void)
{
    const struct itimerval never = {0};

    for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
        if (setitimer((__itimer_which_t)which, &never, NULL) < 0)
            continue;
    }
}

/* The standard three lead nowhere. Where there is no /dev/null (a bare chroot) they are any descriptor. */
static int close_all(void)
{
    struct rlimit files;
    int error = sys_close_from(0);

    /* The few that we need may be more than the process allowed itself. */
    if (error == 0 && getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        error = setrlimit(RLIMIT_NOFILE, &files) < 0 ? -errno : 0;
    }
    for (int fd = 0; error == 0 && fd <= 2; fd++)
        error = sys_null(fd);
    return error == -ENOENT ? 0 : error;
}

static int start(struct deputy *deputy)
{
    int error;

    deputy->id = getenv(DEPUTY_ENV_ID);
    deputy->path = getenv(DEPUTY_ENV_SOCKET);
    deputy->stands = getenv(DEPUTY_ENV_STANDS);
    /* First, so that the ends of pipes are never kept longer than it takes to come here. */
    error = close_all();
    if (error < 0)
        return error;
    if (!deputy->path || queue_open() < 0)
        return -EINVAL;
    disarm_timers();
    deputy->memory = memory_watch();
    deputy->signals = queue_poll_fd();
    return deputy->signals < 0 ? deputy->signals : 0;
}

int job_deputy(char **argv)
{
    static struct deputy deputy = {.in = {.fd = -1}, .next = 1, .oldest = 1, .held = UINT64_MAX};
    int error;

    prctl(PR_SET_NAME, argv[0]);
    error = start(&deputy);
    /* Half a deputy is still a PID; who asks why finds it in the name. */
    while (error < 0) {
        prctl(PR_SET_NAME, "exile: unable");
        pause();
    }
    live(&deputy);
    return EXIT_FAILED;
}
