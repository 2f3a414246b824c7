/* A unix socket that only root reaches: lines in, lines out. For jobs that outlive the agent. */
#ifndef EXILE_SERVER_H
#define EXILE_SERVER_H

#include "lines.h"
#include "shim.h"

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
    SERVER_CLIENTS = 4,
    SERVER_POLLS = SERVER_CLIENTS + 2,
};

struct server {
    int listener;
    struct lines clients[SERVER_CLIENTS]; /* fd -1: free */
    pid_t keeper;                         /* see keeper.h; 0: none */
    int keeper_end;                       /* its pidfd, or -1 */
    bool alone;                           /* it is gone */
};

/* Obeys one line of a client, whose answers go to fd. NULL: that client has gone. */
typedef void server_obey(void *context, int fd, char *line);

/* A socket that is there already is replaced. Whoever may write to the directory is trusted. */
must_use int server_open(struct server *server, const char *path);

void server_poll(const struct server *server, struct pollfd polls[SERVER_POLLS]);

/*
 * Obeys what was heard, now or by a server that was killed. Never blocks, but for an answer that a client
 * does not read.
 */
void server_step(struct server *server, const struct pollfd polls[SERVER_POLLS], server_obey *obey,
                 void *context);

#endif
