/* Whether a process could become a deputy: found out before anything is done to it. */
#ifndef EXILE_REHEARSE_H
#define EXILE_REHEARSE_H

#include "shim.h"

#include <sys/types.h>

/*
 * Expects the process in any state, and does not touch it. 0: it can execute the program and reach the
 * socket, which need not be there. Else a negative errno, and `why`; -ESRCH: it is gone.
 *
 * Assumes that a path which can be reached is the right one: in a container of its own that may be wrong.
 */
must_use int rehearse(pid_t pid, const char *program, const char *socket, const char **why);

/* The path of the program that is running now. */
must_use int rehearse_own_program(const char **path);

#endif
