/* Puts pages into the memory of those who wait for them. */
#ifndef EXILE_SERVE_H
#define EXILE_SERVE_H

#include "shim.h"
#include "views.h"

#include <stdbool.h>

/*
 * A thread waits at this address of the view. It is served now, or once serve_later() can, or once the page
 * is said to be here. -ESRCH: the process has gone.
 */
must_use int serve_fault(struct views *views, struct view *view, uint64_t address);

/* Serves those who could not be served before. As above. */
must_use int serve_later(struct views *views, struct view *view);

/* The store has these pages of the process now, first to last - 1. */
void serve_here(struct views *views, struct process *process, uint64_t first, uint64_t last);

/* Whether somebody waits for serve_later(). */
must_use bool serve_is_late(const struct view *view);

/* After a worker was killed: whoever waits tries again. */
void serve_recover(const struct view *view);

#endif
