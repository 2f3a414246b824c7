/*
 * Job `rehearse`: tells which processes could become deputies; of use before a migration begins.
 *
 *   exile-shim rehearse --socket PATH [--program PATH] PID...
 *   on stdout, for each: fit PID | unfit PID TEXT | gone PID
 *
 * A deputy runs as its process's user and in its root directory. So the directories that lead to the program
 * and to the agent's socket must be open to all for search (x), the program for execution, the socket for
 * writing; and nothing of it may lie on a file system that is mounted noexec.
 */
#include "rehearse.h"
#include "lines.h"
#include "proc.h"
#include "sys.h"
#include "talk.h"

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a child of ours that has put on the user and the root of another. An errno, or 0. */
static int try_path(pid_t pid, const struct proc_status *status, const char *path, int mode)
{
    const gid_t gid = (gid_t)status->gid;
    const uid_t uid = (uid_t)status->uid;
    char root[64];

    snprintf(root, sizeof(root), "/proc/%d/root", pid);
    if (chroot(root) < 0 || chdir("/") < 0)
        return errno;
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return errno;
    return access(path, mode) < 0 ? errno : 0;
}

static int can(pid_t pid, const struct proc_status *of, const char *path, int mode)
{
    int status;
    pid_t child = fork();

    if (child < 0)
        return -errno;
    if (child == 0)
        _exit(try_path(pid, of, path, mode));
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int rehearse(pid_t pid, const char *program, const char *socket, const char **why)
{
    struct proc_status status;
    int error;

    *why = "it is gone";
    if (proc_status(pid, pid, &status) < 0)
        return -ESRCH;
    *why = "it has a seccomp filter, which the deputy would inherit";
    if (status.filtered)
        return -EPERM;
    *why = "it cannot execute the deputy's program";
    error = can(pid, &status, program, X_OK);
    if (error < 0)
        return error;
    *why = "it cannot reach the agent's socket";
    error = can(pid, &status, socket, W_OK);
    /* The agent may be away. */
    return error == -ENOENT ? 0 : error;
}

int rehearse_own_program(const char **path)
{
    static char text[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", text, sizeof(text) - 1);

    if (n < 0)
        return -errno;
    text[n] = 0;
    *path = text;
    return 0;
}

static bool has_ended(pid_t pid)
{
    struct proc_status status;

    return proc_status(pid, pid, &status) < 0 || status.state == 'Z' || status.state == 'X';
}

static void tell(pid_t pid, const char *program, const char *socket)
{
    const char *why = "";
    int error = rehearse(pid, program, socket, &why);

    /* Whatever failed may have failed because it ended meanwhile. */
    if (error < 0 && has_ended(pid))
        error = -ESRCH;
    if (error == 0)
        line_say(1, "fit %d", pid);
    else if (error == -ESRCH)
        line_say(1, "gone %d", pid);
    else
        line_say(1, "unfit %d %s: %s", pid, why, strerror(-error));
}

int job_rehearse(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"program", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    const char *socket = NULL;
    const char *program = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (option == 's')
            socket = optarg;
        else if (option == 'p')
            program = optarg;
        else
            return usage_error("rehearse: %s '%s'", option == ':' ? "no value for" : "unknown option",
                               argv[optind - 1]);
    }
    if (!socket || talk_check_path(socket) < 0)
        return usage_error("rehearse: --socket takes the path of a unix socket");
    if (!program && rehearse_own_program(&program) < 0)
        return usage_error("rehearse: no /proc; --program is needed");
    for (int i = optind; i < argc; i++) {
        long pid;

        if (sys_parse_number(argv[i], 1, INT_MAX, &pid) < 0)
            return usage_error("rehearse: not a PID: '%s'", argv[i]);
        tell((pid_t)pid, program, socket);
    }
    return EXIT_OK;
}
