/*
 * CRIU's restore, which brings the userfaultfds of what it restores: it connects to lazy-pages.socket in its
 * work directory and sends, for each task, its pid and then the descriptor with a byte, for a zombie its
 * negative pid only; and at last a word.
 */
#ifndef EXILE_RESTORER_H
#define EXILE_RESTORER_H

#include "shim.h"
#include "views.h"

#include <poll.h>
#include <stdalign.h>
#include <stdbool.h>
#include <sys/socket.h>

enum { RESTORER_POLLS = 2 };

/* One of its messages, filled by the kernel; what is not here yet is zeros. */
struct restorer_message {
    int pid;
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

struct restorer {
    int listener; /* -1: none */
    int fd;       /* -1: it is not here */
    unsigned int current;
    struct restorer_message messages[2];
};

void restorer_clear(struct restorer *restorer);

/* Waits for CRIU in this directory. One that was waited for before is not any more. */
must_use int restorer_listen(struct restorer *restorer, const char *directory);

void restorer_poll(const struct restorer *restorer, struct pollfd polls[RESTORER_POLLS]);

/* Takes what there is. */
void restorer_step(struct restorer *restorer, struct views *views);

/* Something was taken that is not done with. */
must_use bool restorer_is_late(const struct restorer *restorer);

/* After a worker was killed: goes on with what it had taken. */
void restorer_recover(struct restorer *restorer, struct views *views);

/* A descriptor of ours, not less than `from`, that was accepted from this listener; or an error. */
must_use int restorer_accepted(int listener, int from);

#endif
