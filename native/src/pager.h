/* The pager's two halves: what it does by itself (pager.c), and what it is told (orders.c). */
#ifndef EXILE_PAGER_H
#define EXILE_PAGER_H

#include "followers.h"
#include "hold.h"
#include "restorer.h"
#include "shim.h"
#include "views.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct pager {
    struct views views;
    struct followers followers;
    struct restorer restorer;
    struct hold hold;
    pid_t keeper;
    bool begun;
    bool in_order; /* the worker before ended by itself */
    bool quit;
    bool visited;
    uint64_t alone_since;
    uint64_t look_at;
    size_t turn; /* whose pages are put in next */
};

/* Obeys one line of a client, see pager.c. NULL: that client has gone. `context` is the pager. */
void orders_obey(void *context, int client, char *line);

#endif
