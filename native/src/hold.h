/*
 * Userfaultfds are held by the cell's init, too: were both processes of the pager killed and theirs the last
 * descriptors, the kernel would give zeros to whoever waits for a page. What the init has is the end of a
 * socket that nobody reads, in which the descriptors lie, so it need know nothing of them. Whoever ends a cell
 * then kills the others first: the kernel closes what an init has before it kills them.
 */
#ifndef EXILE_HOLD_H
#define EXILE_HOLD_H

#include "shim.h"
#include "views.h"

#include <stdint.h>

struct hold {
    int in;             /* -1: nobody has asked for the other end yet */
    int out;            /* which the init has, too */
    uint32_t turn;      /* what was put in last; messages of former ones are taken out */
    uint64_t changes;   /* of the views, that are in there */
};

void hold_clear(struct hold *hold);

/* Gives the end that holds all to a client, who hears "holding", or "error TEXT". */
void hold_give(struct hold *hold, const struct views *views, int client);

/* Has those in there that the views have now, and no others. Killed in it, it is done once more. */
void hold_renew(struct hold *hold, const struct views *views);

/* Nothing is held any more. */
void hold_release(const struct hold *hold);

/*
 * In the init: asks the pager at that path for what it is to hold, for as long as it lives. The descriptor, or
 * an error.
 */
must_use int hold_take(const char *path);

#endif
