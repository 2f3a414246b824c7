/*
 * Who keeps a process's memory when the process has become a deputy.
 *
 * Made by the body's stub (stub.h) as it executes the deputy's program: a child of the deputy's, called
 * exile-memory, with the process's old memory and nothing else of it. It has no descriptor, takes no signal, only
 * waits, and ends with the deputy. Its end is told to nobody: only who waits for clones sees it.
 */
#ifndef EXILE_MEMORY_H
#define EXILE_MEMORY_H

#include "shim.h"

#include <stdbool.h>
#include <sys/types.h>

/* The keeper of a new deputy's memory, as soon as it is one. -ECHILD: there is none. */
must_use pid_t memory_await(pid_t deputy);

/* For the deputy: a pidfd that polls readable when the keeper of its memory has ended; or -1. */
must_use int memory_watch(void);

/* For the deputy: reaps the keeper. True if it had ended. */
must_use bool memory_reap(void);

#endif
