/* The cell: what its starter passes to its init, and how the hook and the init signal each other. */
#ifndef EXILE_CELL_H
#define EXILE_CELL_H

#include "shim.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/*
 * From the hook to the init. Real-time signals would do for all; SIGUSR1 is kept for the one that a person
 * may look for. Each is obeyed only at its own stage (init.c), so the restored process cannot disturb by
 * sending them.
 */
#define SIGNAL_REACHED SIGUSR1      /* pre-resume: all is restored, the agent decides now */
#define SIGNAL_RELEASED SIGUSR2     /* the agent said resume */
#define SIGNAL_RESUMED SIGRTMIN     /* post-resume: it runs */
#define SIGNAL_ABORT (SIGRTMIN + 1) /* the agent said abort */

/* From the pump: the job is in the foreground of home's terminal, or in the background. */
#define SIGNAL_FOREGROUND (SIGRTMIN + 2)
#define SIGNAL_BACKGROUND (SIGRTMIN + 3)

struct cell {
    const char *id;
    const char *socket;
    pid_t first_pid;
    pid_t root;    /* 0: nobody's end is reported */
    bool orphaned; /* the root's process group is, at home: the keyboard's stop signals stop nobody there */
    const char *pager; /* the socket of the one that gives the tree its pages; NULL: none does */
    const char *shm;   /* packed files for a /dev/shm of its own; NULL: it has the host's */
    struct seat *seat; /* NULL: no terminal */
    char **criu;
};

/*
 * The init, as PID 1 of a fresh PID and mount namespace, with the lifeline on stdin. Tells `report` (a pipe
 * to its starter) "ok" once the cell is set up or "error TEXT". Returns the exit code; all of the namespace
 * dies with it.
 */
must_use int init_run(const struct cell *cell, int report);

#endif
