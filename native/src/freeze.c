/*
 * Job `freeze`: holds the freeze at home on behalf of the agent, so that no death leaves the process frozen.
 *
 * --ipc: the tree uses SysV IPC, see CRIU_APART; in a cell it has a namespace of its own for that.
 * --cell PID: the tree lives in the cell of that init, and stays in its cgroup; CRIU sees it as it sees itself.
 * --veil FILE: CRIU does not see the pages that FILE tells of (native/veil/veil.c), its path and the veil's
 * beside this program being as CRIU sees them. If either is not there by the time of the dump, it sees all.
 *
 *   agent --stdin/stdout--> worker --child--> criu dump
 *                             |
 *                           keeper (parent of the worker; the process that the agent started)
 *
 * Who dies, and who thaws then (unless `hold` was said; from then on the agent's journal decides):
 *   agent    the worker reads EOF; it makes a running CRIU fail, and thaws
 *   CRIU     the worker reports it, the agent says thaw
 *   worker   the keeper waits for it; it is the subreaper, so CRIU becomes its child; it ends CRIU, and thaws
 *   keeper   the worker sees their pipe close, and does as if the agent had died
 * Only all of them at once defeat it. A service manager that kills a whole cgroup at once does just that: the
 * agent's unit must not (KillMode=process).
 */
#include "criu.h"
#include "guard.h"
#include "proc.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_BACKS = 4096 };

static struct back backs[MAX_BACKS];

static int parse(int argc, char **argv, struct guard *guard)
{
    static const struct option options[] = {
        {"cgroup", required_argument, NULL, 'c'},
        {"back", required_argument, NULL, 'b'},
        {"ipc", no_argument, NULL, 'i'},
        {"cell", required_argument, NULL, 'l'},
        {"veil", required_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    long init;
    int option;

    while ((option = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
        if (option == 'c') {
            guard->path = optarg;
        } else if (option == 'b') {
            if (guard->back_count == MAX_BACKS)
                return usage_error("freeze: more than %d --back", MAX_BACKS);
            if (back_parse(optarg, &backs[guard->back_count++]) < 0)
                return usage_error("freeze: --back takes PID=/CGROUPDIR, not '%s'", optarg);
        } else if (option == 'i') {
            guard->apart = true;
        } else if (option == 'v') {
            guard->veil = optarg;
        } else if (option == 'l') {
            if (sys_parse_number(optarg, 2, INT_MAX, &init) < 0)
                return usage_error("freeze: --cell takes a PID, not '%s'", optarg);
            guard->cell = (pid_t)init;
        } else {
            return usage_error("freeze: %s '%s'", option == ':' ? "no value for" : "unknown option",
                               argv[optind - 1]);
        }
    }
    if (!guard->path || guard->path[0] != '/')
        return usage_error("freeze: --cgroup takes the absolute path of a cgroup v2 directory");
    if (optind >= argc)
        return usage_error("freeze: no CRIU command after --");
    guard->backs = backs;
    guard->criu = argv + optind;
    return 0;
}

static int reap(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

/*
 * The worker was killed: a CRIU that it started, at whatever moment, is our child now, and we have no other.
 * Returns when it has ended, its target as await_criu() has it.
 */
static void end_orphaned_criu(void)
{
    uint64_t deadline = sys_now() + (uint64_t)CRIU_END_TIMEOUT_MS * 1000;
    pid_t ended;

    while ((ended = waitpid(-1, NULL, WNOHANG)) >= 0) {
        struct pids children = {0};

        if (ended > 0)
            continue;
        if (proc_children(getpid(), &children) < 0)
            fprintf(stderr, "cannot look for criu\n");
        for (size_t i = 0; i < children.count; i++) {
            if (sys_left_ms(deadline) == 0)
                kill(children.list[i], SIGKILL);
            else if (criu_make_fail(children.list[i]) < 0)
                fprintf(stderr, "criu %d cannot be made to fail\n", children.list[i]);
        }
        pids_free(&children);
        sys_sleep_ms(5);
    }
}

static int keep(struct guard *guard, pid_t worker)
{
    int status;

    if (reap(worker, &status) < 0)
        return EXIT_FAILED;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    if (*guard->held)
        return EXIT_FAILED;
    end_orphaned_criu();
    if (guard_thaw(guard) == 0)
        line_say(1, "error the guard's worker was killed by signal %d; thawed", WTERMSIG(status));
    else
        line_say(1, "error the guard's worker was killed by signal %d; NOT thawed", WTERMSIG(status));
    return EXIT_FAILED;
}

static int start(struct guard *guard)
{
    int alive[2];
    pid_t worker;

    guard->held = mmap(NULL, sizeof(*guard->held), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (guard->held == MAP_FAILED)
        return -errno;
    if (pipe2(alive, O_CLOEXEC) < 0)
        return -errno;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    worker = fork();
    if (worker < 0)
        return -errno;
    if (worker == 0) {
        close(alive[1]);
        guard->keeper = alive[0];
        _exit(guard_work(guard));
    }
    close(alive[0]);
    /* stdin is the worker's alone. stdout stays open here, so that the agent reads EOF only when all is done.
     */
    if (sys_null(0) < 0)
        fprintf(stderr, "cannot open /dev/null\n");
    return keep(guard, worker);
}

int job_freeze(int argc, char **argv)
{
    struct guard guard = {.in = {.fd = 0}};
    int code = parse(argc, argv, &guard);

    if (code)
        return code;
    /*
     * A terminal's ^C or a service manager's SIGTERM reach the whole group or cgroup, just when the guard is
     * needed most. CRIU inherits these dispositions, and it must: a signal in the middle of a dump harms its
     * target.
     */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    /* EPERM: we lead a group already (started by an interactive shell); the ignored signals must do then. */
    if (setsid() < 0 && errno != EPERM)
        fprintf(stderr, "setsid: %s\n", strerror(errno));
    code = start(&guard);
    if (code < 0) {
        line_say(1, "error cannot start the guard: %s", strerror(-code));
        return EXIT_FAILED;
    }
    return code;
}
