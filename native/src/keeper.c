#include "keeper.h"
#include "sys.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STACK = 1 << 18,
    /* No memory, no processes: that passes. */
    RETRY_MS = 100,
};

struct kept {
    const char *name;
    struct server *server;
    resident_serve *serve;
    pid_t keeper;
    int stack; /* the worker's */
};

/* Memory is shared, so each of the two needs its own. The first keeper has that of its process. */
static _Alignas(16) char stacks[2][STACK];

static int keep(struct kept *kept, int own_stack);

static void look_after_keeper(struct server *server, pid_t keeper)
{
    int pidfd = sys_pidfd_open(keeper);

    if (server->keeper_end >= 0)
        close(server->keeper_end); /* a killed worker's */
    server->keeper = keeper;
    server->keeper_end = pidfd < 0 ? -1 : pidfd;
    server->alone = pidfd == -ESRCH;
}

static int work(void *context)
{
    struct kept *kept = context;
    const int own_stack = kept->stack;
    int code;

    prctl(PR_SET_NAME, kept->name);
    look_after_keeper(kept->server, kept->keeper);
    code = kept->serve(kept->server);
    return kept->server->alone ? keep(kept, own_stack) : code;
}

/* What made it crash would make the next one crash, too: it is in the memory that they share. */
static bool was_killed(pid_t worker, int *code)
{
    int status;

    while (waitpid(worker, &status, 0) < 0) {
        if (errno != EINTR) {
            *code = EXIT_FAILED;
            return false;
        }
    }
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static int keep(struct kept *kept, int own_stack)
{
    int code = EXIT_FAILED;
    pid_t worker;

    prctl(PR_SET_NAME, "exile-keeper");
    kept->keeper = getpid();
    kept->stack = !own_stack;
    do {
        worker = clone(work, stacks[kept->stack] + STACK, CLONE_VM | CLONE_FILES | SIGCHLD, kept);
        if (worker < 0)
            sys_sleep_ms(RETRY_MS);
    } while (worker < 0 || was_killed(worker, &code));
    return code;
}

int keeper_run(const char *name, struct server *server, resident_serve *serve)
{
    static struct kept kept;

    kept = (struct kept){.name = name, .server = server, .serve = serve};
    return keep(&kept, 1);
}
