/*
 * One line to the agent's unix socket and one line back, again and again until it is answered: the agent may
 * be away, and a restarted one does not know what the old one was told.
 */
#ifndef EXILE_TALK_H
#define EXILE_TALK_H

#include "lines.h"
#include "shim.h"

#include <stdbool.h>
#include <stdint.h>

struct talk {
    const char *path; /* the agent's socket */
    char question[LINE_SIZE];
    char answer[LINE_SIZE]; /* valid once talk_step returned 1 */
    unsigned int retry_ms;
    unsigned int slow_retry_ms; /* after slow_at; 0: retry_ms stays */
    uint64_t slow_at;
    uint64_t next_try;
    struct lines in; /* in.fd is -1 while there is no connection: poll(2) skips that */
};

/* -ENAMETOOLONG if a unix socket address cannot hold the path. */
must_use int talk_check_path(const char *path);

/* A nonblocking, close-on-exec connection, or an error at once. */
must_use int talk_connect(const char *path);

void talk_begin(struct talk *talk, const char *path, unsigned int retry_ms, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Connects if it is time to, reads what there is. Never blocks. 1: answered, 0: not yet. */
must_use int talk_step(struct talk *talk);

/* How long poll(2) may sleep on talk->in.fd before talk_step has something to do; -1: until data comes. */
must_use int talk_timeout_ms(const struct talk *talk);

/* An answer nobody knows is none: forget it, ask again after the pause. */
void talk_again(struct talk *talk);

void talk_end(struct talk *talk);

/* Steps and sleeps until answered. deadline 0: for ever. -ETIMEDOUT, or 0. */
must_use int talk_wait(struct talk *talk, uint64_t deadline);

#endif
