/*
 * Timed waits that a move has interrupted, begun again where they were.
 *
 * The kernel keeps the end of an interrupted nanosleep, poll or futex wait in the thread's restart block, which
 * does not travel: CRIU has the call fail with EINTR instead. So the thread makes the call once more, with the
 * time that is left, and is interrupted at once; from then on the kernel has for it what it had at home, and
 * the thread its own registers and memory. Of a select, pselect or ppoll the kernel has written the time that was left
 * into the program's own timeout; from that the time since is taken.
 */
#ifndef EXILE_WAITS_H
#define EXILE_WAITS_H

#include "shim.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct wait_left {
    pid_t tid;     /* as it counts itself */
    long number;   /* of the system call */
    uint64_t left; /* nanoseconds; of select, pselect and ppoll: what is to be left */
};

/* TID:NUMBER:NANOSECONDS. -EINVAL otherwise. */
must_use int waits_parse(const char *text, struct wait_left *wait);

/*
 * Expects every process of the cgroup frozen, nobody attached; leaves them so. Meanwhile all of them stand in
 * ptrace stops, and die if we do. A thread that is in no such wait, or has none any more, is left as it is.
 */
must_use int waits_resume(int cgroup, const struct wait_left *waits, size_t count);

#endif
