/*
 * Job `watch`: notices what no deputy can tell itself: that somebody stopped it by SIGSTOP, or that it ended.
 *
 *   exile-shim watch --id ID PID...      and on stdin: add PID
 *   on stdout: watching PID | gone PID | asked PID | stopped PID SIGNAL [own] | continued PID | ended PID STATUS
 *   asked: somebody sends it SIGSTOP; said before that stops it. What stops it else is its own doing, as it was
 *   told; one that stands already when we begin to watch it has marked that. continued: it has been sent SIGCONT,
 *   and runs; said before it runs.
 *
 * A deputy that is attached by PTRACE_SEIZE reports its group stops; PTRACE_LISTEN leaves it in that stop, so
 * its parent and its shell see all they would see without us. Between events everybody sleeps.
 *
 * Killed, the kernel detaches the deputies as they are, in a stop or not. Every wait is with WNOWAIT: that
 * leaves the stop's exit code in place, so a signal whose delivery was just being reported is delivered
 * then; a stop that has been waited for and is let go by our death loses its signal. (The price: an event is
 * looked at again until its process goes on, so it must go on right here.) What remains: a deputy that ends
 * is not seen by its parent until we have seen it, so a watcher that is itself stopped delays that.
 */
#include "deputy.h"
#include "lines.h"
#include "proc.h"
#include "sys.h"
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static bool has(pid_t pid, const char *name, const char *value)
{
    char path[64];
    char text[8192];
    char wanted[256];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/environ", pid);
    snprintf(wanted, sizeof(wanted), "%s=%s", name, value);
    n = sys_read_at(AT_FDCWD, path, text, sizeof(text));
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(text + at) + 1) {
        if (strcmp(text + at, wanted) == 0)
            return true;
    }
    return false;
}

/* A deputy that stands already reports its stop as soon as it is attached. */
static void watch(pid_t pid, const char *id)
{
    /* Attached first: from then on the PID cannot be given to another. */
    if (trace_seize(pid, 0) < 0) {
        line_say(1, "gone %d", pid);
        return;
    }
    /* A PID may have been given to another since: the deputy's environment says whose it is. */
    if (has(pid, DEPUTY_ENV_ID, id)) {
        line_say(1, "watching %d", pid);
        return;
    }
    if (trace_stop(pid) == 0 && trace_detach(pid, 0) < 0)
        line_say(1, "error %d cannot be let go", pid);
    line_say(1, "gone %d", pid);
}

/* Its stop is reported for a second time when it is in force. */
static bool is_asked(pid_t pid, int number)
{
    siginfo_t info = {0};

    return number == SIGSTOP && ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0 &&
           !(info.si_code == SI_TKILL && info.si_pid == pid);
}

static void on_stop(pid_t pid, int status)
{
    int number = status & 0xff;
    bool group_stop = status >> 8 == PTRACE_EVENT_STOP && number != SIGTRAP;
    int error;

    if (group_stop) {
        line_say(1, "stopped %d %d%s", pid, number,
                 has(pid, DEPUTY_ENV_STANDS, DEPUTY_STANDS_OWN) ? " own" : "");
        error = ptrace(PTRACE_LISTEN, pid, NULL, NULL) < 0 ? -errno : 0;
    } else {
        /* A SIGCONT, be it that one runs already: nothing else makes this event, as we interrupt nobody. */
        if (status >> 8 == PTRACE_EVENT_STOP)
            line_say(1, "continued %d", pid);
        else if (status >> 8 == 0 && is_asked(pid, number))
            line_say(1, "asked %d", pid);
        error = trace_continue(pid, status >> 8 ? 0 : number);
    }
    if (error < 0 && error != -ESRCH)
        line_say(1, "error %d: %s", pid, strerror(-error));
}

/* 1: there was an event, 0: none, -ECHILD: nobody is watched. */
static int look(void)
{
    siginfo_t event = {0};

    if (waitid(P_ALL, 0, &event, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0)
        return errno == EINTR ? 1 : -errno;
    if (event.si_pid == 0)
        return 0;
    if (event.si_code == CLD_TRAPPED || event.si_code == CLD_STOPPED) {
        on_stop(event.si_pid, event.si_status);
    } else {
        int status = 0;

        if (waitpid(event.si_pid, &status, __WALL) == event.si_pid)
            line_say(1, "ended %d %d", event.si_pid, status);
    }
    return 1;
}

static void obey(const char *line, const char *id)
{
    long pid;

    if (strncmp(line, "add ", 4) == 0 && sys_parse_number(line + 4, 1, INT_MAX, &pid) == 0)
        watch((pid_t)pid, id);
    else
        line_say(1, "error unknown command");
}

static int live(const char *id, int signals)
{
    struct lines in = {.fd = 0};
    char line[LINE_SIZE];

    for (;;) {
        struct pollfd events[] = {{.fd = signals, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
        struct signalfd_siginfo ignored;

        while (look() > 0)
            ;
        if (poll(events, 2, -1) < 0 && errno != EINTR)
            return EXIT_FAILED;
        if (events[0].revents && read(signals, &ignored, sizeof(ignored)) < 0 && errno != EAGAIN)
            return EXIT_FAILED;
        if (events[1].revents && lines_fill(&in) == -EPIPE)
            return EXIT_OK;
        while (lines_next(&in, line))
            obey(line, id);
    }
}

int job_watch(int argc, char **argv)
{
    static const struct option options[] = {{"id", required_argument, NULL, 'i'}, {NULL, 0, NULL, 0}};
    const char *id = NULL;
    sigset_t child;
    int option;
    int signals;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (option != 'i')
            return usage_error("watch: %s '%s'", option == ':' ? "no value for" : "unknown option",
                               argv[optind - 1]);
        id = optarg;
    }
    if (!id)
        return usage_error("watch: --id is needed");
    for (int i = optind; i < argc; i++) {
        long pid;

        if (sys_parse_number(argv[i], 1, INT_MAX, &pid) < 0)
            return usage_error("watch: not a PID: '%s'", argv[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &child, NULL) < 0)
        return EXIT_FAILED;
    signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return EXIT_FAILED;
    for (int i = optind; i < argc; i++) {
        long pid;

        if (sys_parse_number(argv[i], 1, INT_MAX, &pid) == 0)
            watch((pid_t)pid, id);
    }
    return live(id, signals);
}
