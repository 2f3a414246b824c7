/* Puts pages into a view while nobody waits for them, until it has all. */
#ifndef EXILE_AHEAD_H
#define EXILE_AHEAD_H

#include "shim.h"
#include "views.h"

#include <stdbool.h>

/* Puts the next few pages in, for which nobody waits yet. -ESRCH: the process has gone. */
must_use int ahead_step(struct views *views, struct view *view);

/* Whether ahead_step() has something to do, now or at view->retry_at. */
must_use bool ahead_has_more(const struct view *view);

/* Nothing is missing, and all that was here has been put in. */
must_use bool ahead_is_complete(struct view *view);

/* From now on the view's process has all that it had, and is on its own. */
void ahead_release(const struct view *view);

#endif
