/*
 * How a dump is cancelled.
 *
 * While CRIU dumps, its target stands in ptrace stops with CRIU's code mapped into it, and at times with
 * foreign registers: CRIU makes the target call mmap by rewriting its registers. Ended by a signal (it
 * installs no handler, so SIGTERM is as bad as SIGKILL) CRIU puts nothing back. The parasite daemon, once it
 * runs, survives this: it sees its control socket close and returns to where the process was. Before and
 * after that there are windows in which the kernel lets the process go on with CRIU's registers, which kills
 * it; and in any case CRIU's mapping stays, and the cgroup, which CRIU thaws for its work, is not frozen
 * again. Measured with CRIU 4.2.1 and SIGKILL at random moments of a dump: of 94 that came after that thaw,
 * 2 killed the target (SIGTRAP) and 69 left the mapping behind.
 *
 * So CRIU is asked to fail instead, by its own error path: RLIMIT_FSIZE of 0 set from outside lets its next
 * write to an image fail with EFBIG (SIGXFSZ is ignored, that survives exec). It then cures its target,
 * freezes the cgroup again and exits with 1. cgroupfs, procfs, pipes and sockets do not know this limit, so
 * the error path itself works (150 of 150 clean in the same measurement). It costs the rest of CRIU's log,
 * as that is a file too.
 */
#include "criu.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void exec_criu(char *const argv[], unsigned int how, int terminal)
{
    sigset_t none;

    if ((how & CRIU_LEADS) && setpgid(0, 0) < 0)
        return;
    if ((how & CRIU_APART) && unshare(CLONE_NEWIPC) < 0)
        return;
    for (int fd = 0; fd <= 2; fd++) {
        if (sys_null(fd) < 0)
            return;
    }
    if (terminal >= 0) {
        /* It sets modes and the foreground group from a group in the background. */
        signal(SIGTTOU, SIG_IGN);
        if (dup2(terminal, 0) < 0)
            return;
    }
    if (sys_close_range(3, CRIU_FIRST_GIVEN - 1) < 0)
        return;
    signal(SIGXFSZ, SIG_IGN);
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return;
    execvp(argv[0], argv);
}

pid_t criu_spawn(char *const argv[], unsigned int how, int terminal)
{
    pid_t pid = fork();

    if (pid < 0)
        return -errno;
    if (pid == 0) {
        exec_criu(argv, how, terminal);
        _exit(127);
    }
    return pid;
}

static int open_namespace(pid_t pid, const char *name)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* 0, or a negative errno: children of ours are born in the PID namespace; *mounts is for them to enter. */
static int approach(pid_t init, int *mounts)
{
    int pids = open_namespace(init, "pid");
    int error;

    if (pids < 0)
        return pids;
    error = setns(pids, CLONE_NEWPID) < 0 ? -errno : 0;
    close(pids);
    *mounts = error < 0 ? error : open_namespace(init, "mnt");
    return *mounts < 0 ? *mounts : 0;
}

pid_t criu_spawn_in(pid_t init, char *const argv[])
{
    int mounts = -1;
    int error = approach(init, &mounts);
    pid_t pid;

    if (error < 0)
        return error;
    pid = fork();
    if (pid < 0)
        error = -errno;
    if (pid == 0) {
        if (setns(mounts, CLONE_NEWNS) == 0)
            exec_criu(argv, 0, -1);
        _exit(127);
    }
    close(mounts);
    return error < 0 ? error : pid;
}

int criu_make_fail(pid_t pid)
{
    const struct rlimit none = {0, 0};

    return prlimit(pid, RLIMIT_FSIZE, &none, NULL) < 0 ? -errno : 0;
}

void criu_describe(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d", WTERMSIG(status));
    else
        snprintf(text, size, "exit %d", WEXITSTATUS(status));
}
