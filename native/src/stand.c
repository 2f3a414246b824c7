#include "stand.h"
#include "proc.h"
#include "settle.h"
#include "sys.h"
#include "trace.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 300, STAND_MS = 5000 };

static bool has(const struct pids *pids, pid_t pid)
{
    for (size_t i = 0; i < pids->count; i++) {
        if (pids->list[i] == pid)
            return true;
    }
    return false;
}

static bool has_ended(pid_t pid, pid_t tid)
{
    struct proc_status status;

    return proc_status(pid, tid, &status) < 0 || status.state == 'Z' || status.state == 'X';
}

/* One that is about to end stands as well, before the kernel writes to its memory for the last time. */
static int stand_thread(pid_t pid, pid_t tid)
{
    int error = trace_stand(tid, 0);

    if (error == 0)
        error = settle_interrupted(tid);
    if (error == -EPERM && has_ended(pid, tid))
        return 0;
    return error == -ESRCH ? 0 : error;
}

/* What stands makes no threads, so nobody runs once a look finds none that is new. */
static int stand_all(pid_t pid)
{
    struct pids standing = {0};
    bool found = true;
    int error = 0;

    while (found && error == 0) {
        struct pids threads = {0};

        found = false;
        error = proc_threads(pid, &threads);
        for (size_t i = 0; error == 0 && i < threads.count; i++) {
            if (has(&standing, threads.list[i]))
                continue;
            found = true;
            error = stand_thread(pid, threads.list[i]);
            if (error == 0)
                error = pids_add(&standing, threads.list[i]);
        }
        pids_free(&threads);
    }
    pids_free(&standing);
    return error;
}

/* From then on we are dead, and all that we trace runs. */
static void end_within(unsigned int ms)
{
    const struct itimerval when = {.it_value = {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000}};

    if (setitimer(ITIMER_REAL, &when, NULL) < 0)
        _exit(EXIT_FAILED);
}

static _Noreturn void hold(pid_t pid, int control)
{
    int32_t error;
    char end;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || signal(SIGALRM, SIG_DFL) == SIG_ERR)
        _exit(EXIT_FAILED);
    end_within(STOP_MS);
    sys_hurry(0);
    error = stand_all(pid);
    if (error == 0)
        end_within(STAND_MS);
    if (sys_write_all(control, &error, sizeof(error)) < 0)
        _exit(EXIT_FAILED);
    while (read(control, &end, 1) < 0 && errno == EINTR)
        ;
    _exit(EXIT_OK);
}

static int reap(pid_t holder)
{
    int status;

    while (waitpid(holder, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK ? 0 : -ETIMEDOUT;
}

int stand_begin(struct stand *stand, pid_t pid)
{
    int32_t error = 0;
    int ends[2];
    int ended;
    ssize_t n;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    stand->since = sys_now();
    stand->control = ends[0];
    stand->holder = fork();
    if (stand->holder == 0) {
        close(ends[0]);
        hold(pid, ends[1]);
    }
    close(ends[1]);
    if (stand->holder < 0) {
        error = -errno;
        stand->holder = 0;
        close(ends[0]);
        return error;
    }
    while ((n = read(ends[0], &error, sizeof(error))) < 0 && errno == EINTR)
        ;
    if (n != sizeof(error))
        error = -EIO;
    if (error == 0)
        return 0;
    ended = stand_end(stand);
    return ended < 0 ? ended : error;
}

int stand_end(struct stand *stand)
{
    int error;

    close(stand->control);
    error = reap(stand->holder);
    stand->holder = 0;
    return error;
}
