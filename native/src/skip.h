/*
 * Signals that were pending at the dump travel in CRIU's image, and are still pending at home. How many of
 * each number stand at the head of a queue: those are not forwarded.
 */
#ifndef EXILE_SKIP_H
#define EXILE_SKIP_H

#include "shim.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct skip_one {
    pid_t pid;
    pid_t tid; /* 0: the process's shared queue */
    int number;
    unsigned int count;
};

/* PID[/TID]:SIGNAL:COUNT[,...] appended to a list with room for `room`. -EINVAL, -E2BIG. */
must_use int skip_parse(const char *text, struct skip_one *list, size_t room, size_t *used);

/* For one queue, counted down. */
struct skip {
    unsigned int left[_NSIG];
};

/* What the list says of one queue. */
void skip_pick(const struct skip_one *list, size_t used, pid_t pid, pid_t tid, struct skip *skip);

/* True if this one is to be skipped; counts it. */
must_use bool skip_next(struct skip *skip, int number);

#endif
