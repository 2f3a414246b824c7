#include "memory.h"
#include "proc.h"
#include "stub.h"
#include "sys.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AWAIT_MS = 2000 };

/* A child whose end sends no signal; the keeper, if it is called so already. 0: none. */
static pid_t find(pid_t parent, bool *named)
{
    struct pids children = {0};
    pid_t found = 0;

    *named = false;
    if (proc_children(parent, &children) < 0)
        return 0;
    for (size_t i = 0; i < children.count && !*named; i++) {
        char name[16];
        struct proc_status status;
        pid_t child = children.list[i];

        if (proc_exit_signal(child) != 0 || proc_name(child, name) < 0 || proc_status(child, child, &status) < 0 ||
            status.state == 'Z')
            continue;
        found = child;
        *named = strcmp(name, MEMORY_NAME) == 0;
    }
    pids_free(&children);
    return found;
}

pid_t memory_await(pid_t deputy)
{
    uint64_t deadline = sys_now() + (uint64_t)AWAIT_MS * 1000;
    pid_t keeper;
    bool named;

    while ((keeper = find(deputy, &named)) && !named && sys_left_ms(deadline) > 0)
        sys_sleep_ms(1);
    return named ? keeper : -ECHILD;
}

int memory_watch(void)
{
    bool named;
    pid_t keeper = find(getpid(), &named);

    return keeper ? sys_pidfd_open(keeper) : -1;
}

bool memory_reap(void)
{
    return waitpid(-1, NULL, __WCLONE | WNOHANG) > 0;
}
