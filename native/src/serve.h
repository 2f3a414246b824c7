/* Puts pages out of the store into the memory of those who wait for them, and of those who will. */
#ifndef EXILE_SERVE_H
#define EXILE_SERVE_H

#include "shim.h"
#include "views.h"

#include <stdbool.h>

/*
 * A thread waits at this address of the view. It is served now, or once serve_later() can, or once the page is said to be
 * here. -ESRCH: the process has gone.
 */
must_use int serve_fault(struct views *views, struct view *view, uint64_t address);

/* Serves those who could not be served before. As above. */
must_use int serve_later(struct views *views, struct view *view);

/* The store has these pages of the process now, first to last - 1. */
void serve_here(struct views *views, struct process *process, uint64_t first, uint64_t last);

/* Puts the next few pages in, for which nobody waits yet. -ESRCH: the process has gone. */
must_use int serve_ahead(struct views *views, struct view *view);

/* Whether serve_ahead() has something to do, now or at view->retry_at. */
must_use bool serve_has_more(const struct view *view);

/* Whether somebody waits for serve_later(). */
must_use bool serve_is_late(const struct view *view);

/* Nothing is missing, and all that was here has been put in. */
must_use bool serve_is_complete(struct view *view);

/* From now on the view's process has all that it had, and is on its own. */
void serve_release(const struct view *view);

/* After a worker was killed: whoever waits tries again. */
void serve_recover(const struct view *view);

#endif
