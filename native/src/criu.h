/* CRIU as a child process: how it is started, and how it is made to end without harm to its target. */
#ifndef EXILE_CRIU_H
#define EXILE_CRIU_H

#include "shim.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Descriptors from this number up are meant for CRIU, by its --inherit-fd. */
enum { CRIU_FIRST_GIVEN = 64 };

/* How CRIU is started; may be or-ed. */
enum {
    CRIU_LEADS = 1, /* it leads a process group of its own */
    /*
     * In an IPC namespace of its own: seen from there the target's is another, and CRIU dumps what is in it.
     * From within the same one it refuses a target that uses SysV IPC.
     */
    CRIU_APART = 2,
};

/*
 * Forks and executes. The child has /dev/null for stdin, stdout and stderr, no other descriptor below
 * CRIU_FIRST_GIVEN, no blocked signal and our environment. `how`: CRIU_*.
 * `terminal`: stdin instead, or -1. A program that cannot be executed ends with 127, as in a shell.
 */
must_use pid_t criu_spawn(char *const argv[], unsigned int how, int terminal);

/*
 * The same within the PID and mount namespaces of that init, where CRIU finds its target as one beside itself.
 * What we fork from then on is born there, too.
 */
must_use pid_t criu_spawn_in(pid_t init, char *const argv[]);

/*
 * Makes a running `criu dump` fail by itself: see criu.c for why it is never signalled. Its target may be in
 * any state of the dump; CRIU takes its parasite out of it and leaves it as it found it (frozen).
 */
must_use int criu_make_fail(pid_t pid);

/* "exit N" or "signal N" of a wait status. */
void criu_describe(int status, char *text, size_t size);

#endif
