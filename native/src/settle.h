/*
 * A frozen tree that CRIU has had in its hands, put back to where the kernel had it.
 *
 * CRIU turns a wait that the freeze has interrupted into a repetition: instruction pointer back on the system
 * call, result lost. A signal that waits in the queue then runs its handler before the repetition, and the
 * program, which would have come out of its wait with EINTR to look at what the handler left, waits on. So
 * each such thread is given back what the kernel had for it: the call behind it and a result that says
 * "restart, unless a handler runs" (or "unless one without SA_RESTART").
 */
#ifndef EXILE_SETTLE_H
#define EXILE_SETTLE_H

#include "shim.h"

#include <sys/types.h>

/*
 * Expects every process of the cgroup frozen, nobody attached; leaves them so. May be done again. What ends
 * meanwhile is passed over.
 */
must_use int settle_cgroup(int cgroup);

/*
 * The same places, before CRIU comes: a wait without end for a semaphore that the freeze has interrupted with
 * EINTR is to be repeated instead, see regs_undo_interrupt(). Frozen, nobody attached; left so.
 */
must_use int settle_interrupts(int cgroup);

/* The same of one thread that our PTRACE_INTERRUPT has just stopped. */
must_use int settle_interrupted(pid_t tid);

#endif
