/* What a view's userfaultfd tells: threads that wait, and changes of the mappings. */
#ifndef EXILE_EVENTS_H
#define EXILE_EVENTS_H

#include "shim.h"
#include "views.h"

#include <stdbool.h>

/*
 * Reads what there is and does what follows. -ESRCH: the process has gone. Other errors pass: call it again
 * in a moment, what was read is not lost.
 */
must_use int events_serve(struct views *views, struct view *view);

/* Whether something was read and is not done yet. */
must_use bool events_wait(const struct view *view);

#endif
