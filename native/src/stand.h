/*
 * All threads of a running process stand for a moment, in ptrace stops of a child of ours, the holder. Nobody
 * but its threads themselves sees that: no signal, no report to its parent. However the holder ends, they go
 * on; and it ends with us, and by itself once either half took too long.
 */
#ifndef EXILE_STAND_H
#define EXILE_STAND_H

#include "shim.h"

#include <stdint.h>
#include <sys/types.h>

struct stand {
    pid_t holder; /* 0: nobody stands */
    int control;  /* closed to let them go */
    uint64_t since;
};

/*
 * All of them stand then, those too that were made meanwhile. -ETIMEDOUT: a thread did not stop, such as one
 * that waits for a disk; all run. A thread that waits sees what it would see of a SIGSTOP and a SIGCONT, or less.
 */
must_use int stand_begin(struct stand *stand, pid_t pid);

/* They go on. Negative: they did so before, and for how long they stood nobody knows. */
must_use int stand_end(struct stand *stand);

#endif
