/*
 * A stream of the pump: the real end of something that stays (a pipe, a FIFO, a file), joined to a wire. The
 * wire is one end of a loopback TCP connection whose far end the agent relays to the other host.
 *
 *   up     real -> wire    at home what a process reads, at the destination what it writes
 *   down   wire -> real    the other two
 *
 * A FIN on the wire from where the bytes come from: there are no more. From where they go to: they are not
 * wanted any more (EPIPE), or, after the other FIN, all are delivered. Nobody sends a reset. Bytes wait where
 * the kernel has them, in pipes and sockets, never in here; so what is not read pushes back.
 */
#ifndef EXILE_STREAM_H
#define EXILE_STREAM_H

#include "shim.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { STREAM_NAME = 65 };

struct stream {
    char name[STREAM_NAME];
    bool up;
    bool blocked;   /* whoever takes the bytes has no room now */
    int real;       /* -1: gone */
    int wire;       /* nonblocking; -1: all is over */
    int far;        /* the wire's other end, until somebody else has it */
    int end;        /* the process's end of a pipe that we have made, likewise; or -1 */
    uint64_t bytes; /* moved so far */
};

/*
 * Joins a duplicate of a descriptor of another process to a new wire. The process, in any state, is left
 * alone; so is what the descriptor refers to, until the first stream_step().
 */
must_use int stream_take(struct stream *stream, const char *name, bool up, pid_t pid, int fd);

/*
 * Makes a pipe of (about) that size and joins the end that the process is not to get to a new wire. So many
 * bytes have passed before, elsewhere.
 */
must_use int stream_make(struct stream *stream, const char *name, bool up, int size, uint64_t bytes);

/* Closes what others have taken by now. */
void stream_given(struct stream *stream);

enum { STREAM_POLLS = 2 };

/* What to wait for. */
void stream_poll(const struct stream *stream, struct pollfd polls[STREAM_POLLS]);

/* Moves what can be moved without waiting. */
void stream_step(struct stream *stream, const struct pollfd polls[STREAM_POLLS]);

/* Of the pipe, in bytes; 0 where it is none. */
int stream_size(const struct stream *stream);

/* Bytes that wait on our side of the stream. */
int stream_pending(const struct stream *stream);

#endif
