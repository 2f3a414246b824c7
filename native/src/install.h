/* Pages out of a store into a view. */
#ifndef EXILE_INSTALL_H
#define EXILE_INSTALL_H

#include "shim.h"
#include "views.h"

#include <stdbool.h>

enum { INSTALL_MOST = 64 }; /* pages at once */

/*
 * Puts pages of one piece in, which are here, and wakes whoever waits for them. Where `zeros` is false, those
 * of zeros are done by not being there. -EAGAIN: the process changes its mappings, its events are to be read
 * first. -ESRCH: it has gone. -EIO: the store cannot be read, which was told. -ENOENT: that is none of our
 * mappings, or not yet. Some may be done in any case.
 */
must_use int install_pages(struct view *view, const struct piece *piece, uint64_t index, uint64_t count,
                           bool zeros);

/* The same of a page of zeros at this address, which may be in no piece. */
must_use int install_zero(const struct view *view, uint64_t address);

/* How many pages from this one on, before `end`, are here and not in yet. */
uint64_t install_run(const struct view *view, uint64_t index, uint64_t end);

/* What has failed with this error is to be tried again, in a while. */
void install_put_off(struct view *view, int error);

#endif
