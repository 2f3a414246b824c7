/*
 * A signal into a process, with any siginfo, as if its sender were there.
 *
 * The kernel lets nobody but the receiving thread itself queue a signal that claims to come from kill, from
 * the kernel or from a child. So the thread is stopped, aimed at a stub (stub.h) that makes the call and
 * leads back to where the thread was, run, and put back.
 *
 * If we are killed at any point, the thread goes on by the stub alone, which also puts the signal mask back
 * (after up to a second, the stub's patience with us). Only how it looks differs then: a handler that runs
 * meanwhile finds an address in the stub in its context.
 */
#ifndef EXILE_INJECTION_H
#define EXILE_INJECTION_H

#include "shim.h"
#include "stub.h"

#include <stdbool.h>
#include <sys/types.h>

struct injection {
    pid_t pid;    /* of the process and the thread that is to make the call, as we count */
    pid_t thread; /* the receiver itself, or the leader if it is for the process */
    struct inject_order order;
    uint64_t base; /* where our last injection into this process left its stub; 0: there was none */
};

/*
 * A successor that runs the same order (its head) within that second knows whether it was carried out; later
 * it may send it twice.
 *
 * 0: the signal is queued, or already taken; also if a killed predecessor did it. -ESRCH: the process is
 * gone. -EAGAIN: its user has too many signals queued. -EPERM: somebody else traces it. -ETIMEDOUT: it does
 * not run (frozen). -ENOSPC, -ENOEXEC: nothing can be injected into it. But for 0 the thread is as it was
 * before.
 */
must_use int injection_run(struct injection *injection);

/* Wipes what injections have left in the process's padding. */
void injection_wipe(pid_t pid);

#endif
