/*
 * A body: a frozen process at home whose life goes on elsewhere, on its way to become a deputy.
 *
 *   FROZEN --body_stand--> STANDING --body_aim--> AIMED --(out of the frozen cgroup)--> body_become: DEPUTY
 *
 * Until it is moved out of the frozen cgroup it cannot run, attached or not. When it is moved, every one of
 * its threads is aimed: its registers lead into the code of stub.h and nowhere else, with all signals
 * blocked. So if we are killed before the move, it stays frozen and can be done again from the start; after
 * the move, it becomes a deputy by itself. At no moment does the kernel's letting go revive the old code.
 */
#ifndef EXILE_BODY_H
#define EXILE_BODY_H

#include "proc.h"
#include "shim.h"

#include <sys/types.h>

struct body {
    pid_t pid;
    pid_t executor; /* the thread that executes: the leader, if it lives */
    struct pids threads;
    bool stopped; /* by a SIGSTOP that came on the way */
    uint64_t keeps; /* where the code is that it is aimed at, if its memory is to live on; else 0 */
    struct told *told; /* of each thread's private queue */
};

struct body_plan {
    const char *program;
    const char *id;
    const char *socket;
    const char *title;
    bool keep_memory; /* in a child of the deputy's, see memory.h */
};

/* Attaches and stops all threads. Frozen: nothing runs. -ESRCH: it is dead. */
must_use int body_stand(struct body *body);

/* Prints `held PID TID SIGINFO` for each signal of a thread that will not survive. */
must_use int body_tell_held(struct body *body);

/* Blocks all signals, writes the stubs, aims all threads. */
must_use int body_aim(struct body *body, const struct body_plan *plan);

/*
 * Runs it to its new program and lets it go. Expects it out of the frozen cgroup. -ECHILD: it ended instead,
 * with `status`. -ETIMEDOUT: not yet there; it is let go and will get there by itself.
 */
must_use int body_become(struct body *body, int *status);

/*
 * Lets go of whatever is still attached, and of the memory. Of one that is dying it awaits the end, for its
 * parent learns of that only after us; `status` stays as it is if there is no end to be seen.
 */
void body_free(struct body *body, bool dying, int *status);

#endif
