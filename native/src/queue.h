/*
 * The deputy's own pending signals, all blocked: taken out one by one with all the kernel knows of them.
 * System calls are raw here, as glibc hides signals 32 and 33 and falsifies codes.
 */
#ifndef EXILE_QUEUE_H
#define EXILE_QUEUE_H

#include "shim.h"
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* Blocks all signals, drops none. */
must_use int queue_open(void);

/* Readable while a signal is pending; to be polled, not read. */
must_use int queue_poll_fd(void);

/*
 * Takes the next one that is to be forwarded. 1: got it; `tid` is 0 if it was sent to the process, else our
 * own. 0: none is pending.
 */
must_use int queue_take(pid_t *tid, siginfo_t *info);

/* Lets one signal act upon us as if nobody had ever handled it. Returns if that did not end us. */
void queue_raise(int number);

/*
 * Stops by this signal until a SIGCONT comes, which queue_take() then has first. Where the kernel discards it, as it does
 * in an orphaned process group, by SIGSTOP.
 */
void queue_stop(int number);

#endif
