/*
 * Job `deputize`: after COMMIT, turns every process of the frozen cgroup into a deputy, in place.
 *
 * It keeps its PID, parent, group, session and terminal, goes back to the cgroup it came from, and executes
 * this very program (deputy.c), which closes all its descriptors. One process after the other leaves the
 * frozen cgroup; body.h says why no death of ours sets a body free. A second run does the ones that are left.
 * What the program's and the socket's paths must be like: rehearse.c.
 *
 * --keep-memory: the memory of each lives on in a child of its deputy (memory.h), for those who can read it.
 *
 * Lines on stdout, per process:
 *   body PID                  what was told as held of this PID by an earlier run is void
 *   held PID TID SIGINFO      a signal for a thread that is no more; to be forwarded before the deputy's own
 *   memory PID KEEPER         its memory is now KEEPER's
 *   no-memory PID TEXT        it is gone
 *   deputy PID                it is one; what it now finds in its queues it forwards itself
 *   gone PID STATUS           it ended instead (a SIGKILL from elsewhere): its wait status; -1: not known
 *   error PID TEXT            this one stays frozen, or (after the move) is still on its way by itself
 * and at the end `done`, or `error TEXT`. The exit code is 0 only after `done`.
 */
#include "body.h"
#include "cgroup.h"
#include "lines.h"
#include "memory.h"
#include "proc.h"
#include "rehearse.h"
#include "sys.h"
#include "talk.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_BACKS = 4096,
    FREEZE_TIMEOUT_MS = 10000,
};

struct deputize {
    const char *path;
    int cgroup;
    struct body_plan plan;
    size_t back_count;
};

static struct back backs[MAX_BACKS];

static int take_option(struct deputize *job, int option, char *value)
{
    switch (option) {
    case 'c':
        job->path = value;
        return *value == '/' ? 0 : usage_error("deputize: --cgroup takes an absolute path");
    case 'i':
        job->plan.id = value;
        return *value && strlen(value) <= 128 && !strpbrk(value, " \t\r\n")
                   ? 0
                   : usage_error("deputize: --id takes one word");
    case 's':
        job->plan.socket = value;
        return talk_check_path(value) == 0
                   ? 0
                   : usage_error("deputize: --socket: path too long for a unix socket");
    case 't':
        job->plan.title = value;
        return strlen(value) <= 1024 ? 0 : usage_error("deputize: --title is too long");
    case 'p':
        job->plan.program = value;
        return *value == '/' ? 0 : usage_error("deputize: --program takes an absolute path");
    case 'm':
        job->plan.keep_memory = true;
        return 0;
    case 'b':
        if (job->back_count == MAX_BACKS)
            return usage_error("deputize: more than %d --back", MAX_BACKS);
        return back_parse(value, &backs[job->back_count++]) == 0
                   ? 0
                   : usage_error("deputize: --back takes PID=/CGROUPDIR, not '%s'", value);
    default:
        return usage_error("deputize: unknown option");
    }
}

static int parse(int argc, char **argv, struct deputize *job)
{
    static const struct option options[] = {
        {"cgroup", required_argument, NULL, 'c'},  {"id", required_argument, NULL, 'i'},
        {"socket", required_argument, NULL, 's'},  {"title", required_argument, NULL, 't'},
        {"back", required_argument, NULL, 'b'},
        {"program", required_argument, NULL, 'p'}, {"keep-memory", no_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        int code;

        if (option == '?' || option == ':')
            return usage_error("deputize: %s '%s'", option == ':' ? "no value for" : "unknown option",
                               argv[optind - 1]);
        code = take_option(job, option, optarg);
        if (code)
            return code;
    }
    if (!job->path || !job->plan.id || !job->plan.socket || !job->plan.title)
        return usage_error("deputize: --cgroup, --id, --socket and --title are needed");
    return optind < argc ? usage_error("deputize: what is '%s'?", argv[optind]) : 0;
}

/* From the frozen body to the move. -ESRCH: it is dead. */
static int prepare(const struct deputize *job, struct body *body, const char **why)
{
    int error = rehearse(body->pid, job->plan.program, job->plan.socket, why);

    if (error < 0)
        return error;
    *why = "cannot attach";
    error = body_stand(body);
    if (error < 0)
        return error;
    line_say(1, "body %d", body->pid);
    *why = "cannot list its signals";
    error = body_tell_held(body);
    if (error < 0)
        return error;
    *why = "cannot aim it";
    error = body_aim(body, &job->plan);
    if (error < 0)
        return error;
    *why = "cannot move it out of the frozen cgroup";
    return cgroup_move_back(body->pid, backs, job->back_count);
}

/*
 * Whatever went wrong with a process that is on its way out went wrong because of that. A leader that has ended
 * may have threads that go on; and what cannot be known is not so.
 */
static bool is_ending(pid_t pid)
{
    struct proc_status status;
    struct pids threads = {0};
    int error = proc_threads(pid, &threads);
    bool ending = error == -ENOENT || error == -ESRCH;

    if (error == 0) {
        error = proc_status(pid, pid, &status);
        ending = error == -ENOENT || error == -ESRCH;
        if (error == 0)
            ending = ((status.pending | status.shared) >> (SIGKILL - 1) & 1) ||
                     (threads.count == 1 && (status.state == 'Z' || status.state == 'X'));
    }
    pids_free(&threads);
    return ending;
}

static void tell_memory(pid_t pid)
{
    pid_t keeper = memory_await(pid);

    if (keeper > 0)
        line_say(1, "memory %d %d", pid, keeper);
    else
        line_say(1, "no-memory %d %s", pid, strerror(-keeper));
}

/* 0: deputy, or gone. */
static int deputize(const struct deputize *job, pid_t pid)
{
    struct body body = {.pid = pid};
    const char *why = "";
    int status = -1;
    int error = prepare(job, &body, &why);
    bool gone;

    if (error == 0) {
        why = "out of the frozen cgroup, but not a deputy yet";
        error = body_become(&body, &status);
    }
    gone = error == -ESRCH || error == -ECHILD || (error < 0 && is_ending(pid));
    body_free(&body, gone, &status);
    if (error == 0 && job->plan.keep_memory)
        tell_memory(pid);
    if (error == 0)
        line_say(1, "deputy %d", pid);
    else if (gone)
        line_say(1, "gone %d %d", pid, status);
    else
        line_say(1, "error %d %s: %s", pid, why, strerror(-error));
    return gone ? 0 : error;
}

/*
 * A process that refuses stays at the head of the list, so the first failure is the last. Those done have
 * left the cgroup; so has a dead one, as soon as its parent has it.
 */
static int deputize_all(const struct deputize *job)
{
    pid_t last = 0;

    for (;;) {
        pid_t pid = cgroup_first(job->cgroup);
        int error;

        if (pid <= 0)
            return pid;
        if (pid == last)
            sys_sleep_ms(5);
        last = pid;
        error = deputize(job, pid);
        if (error < 0)
            return error;
    }
}

int job_deputize(int argc, char **argv)
{
    struct deputize job = {0};
    sigset_t child;
    int error;
    int code = parse(argc, argv, &job);

    if (code)
        return code;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &child, NULL) < 0)
        return EXIT_FAILED;
    job.cgroup = cgroup_open(job.path);
    /* An earlier run has done all. */
    if (job.cgroup == -ENOENT) {
        line_say(1, "done");
        return EXIT_OK;
    }
    error = job.cgroup;
    if (error >= 0 && !job.plan.program)
        error = rehearse_own_program(&job.plan.program);
    if (error >= 0)
        error = cgroup_set_frozen(job.cgroup, true, FREEZE_TIMEOUT_MS);
    if (error == 0)
        error = deputize_all(&job);
    if (error == 0)
        error = cgroup_remove(job.path);
    if (error < 0) {
        line_say(1, "error %s: %s", job.path, strerror(-error));
        return EXIT_FAILED;
    }
    line_say(1, "done");
    return EXIT_OK;
}
