/*
 * Clients that are told what happens. None of them is waited for: one that does not read is told the rest
 * once it reads again.
 */
#ifndef EXILE_FOLLOWERS_H
#define EXILE_FOLLOWERS_H

#include "server.h"
#include "shim.h"
#include "views.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct follower {
    int fd;       /* -1: free */
    bool behind;  /* it had no room for the next line */
    bool resumed; /* what it has been told */
    unsigned char states[MAX_PROCESSES];
    unsigned int errors[MAX_PROCESSES];
    uint64_t want;  /* the next of those that there were */
    size_t slot;    /* of the next view whose wants it has to be told from the start */
    uint64_t index; /* and of the page in there */
};

struct followers {
    struct follower list[SERVER_CLIENTS];
};

void followers_clear(struct followers *followers);

/* It hears from now on, of what is the case already, too. */
void followers_add(struct followers *followers, const struct views *views, int fd);

void followers_remove(struct followers *followers, int fd);

/* Tells each what it does not know yet. */
void followers_tell(struct followers *followers, const struct views *views);

void followers_poll(const struct followers *followers, struct pollfd polls[SERVER_CLIENTS]);

#endif
