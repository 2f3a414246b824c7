/*
 * A thread that is led away from what it does, to make a system call for us, and back.
 *
 * Begun in a ptrace stop and ended in one. What it does meanwhile is a stub's matter (stub.h), which also leads
 * it back if we do not live to do so.
 */
#ifndef EXILE_DETOUR_H
#define EXILE_DETOUR_H

#include "shim.h"

#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/* The thread, as it was. */
struct detour {
    struct user_regs_struct regs;
    uint64_t mask;
};

/*
 * Finds a place from which the thread can be led away, and keeps what it was like there. -ENOEXEC: it runs
 * 32-bit code. A wait that should not have been interrupted is mended, see regs_undo_interrupt().
 */
must_use int detour_begin(pid_t tid, struct detour *detour);

/* Lets a stopped thread run for a moment and stops it again. */
must_use int detour_step(pid_t tid, unsigned int microseconds);

/* Puts the thread, which stands, back to where it was. */
must_use int detour_put_back(pid_t tid, const struct detour *detour);

#endif
