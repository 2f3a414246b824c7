/* The freeze guard: the state that its two processes share, and what each of them does. See freeze.c. */
#ifndef EXILE_GUARD_H
#define EXILE_GUARD_H

#include "cgroup.h"
#include "lines.h"
#include "shim.h"

#include <stdbool.h>
#include <sys/types.h>

enum {
    FREEZE_TIMEOUT_MS = 10000,
    CRIU_END_TIMEOUT_MS = 30000,
};

struct guard {
    const char *path; /* the cgroup */
    const struct back *backs;
    size_t back_count;
    char **criu;
    const char *veil; /* the file of the pages that CRIU is not to see, see veil.h; or NULL */
    bool apart; /* it uses SysV IPC, see CRIU_APART */
    pid_t cell; /* the init of the cell that the tree lives in and keeps its cgroup in; 0: none */
    /* Shared by both: the journal decides now, the end of the agent thaws no more. */
    volatile bool *held;
    struct lines in;
    int keeper; /* its end means that the keeper is gone */
    bool alone; /* nobody commands us any more */
};

/* The worker: obeys commands until thaw or the end of stdin. Returns the exit code. */
must_use int guard_work(struct guard *guard);

/*
 * Thaws, moves the processes back and removes the cgroup, but for that of a cell. CRIU must be gone: at its end
 * it restores the freezer state that it found. Leaves every process running. 0 as soon as all run, even if the cgroup could
 * not go.
 */
must_use int guard_thaw(const struct guard *guard);

#endif
