/*
 * What two pumps tell each other about a terminal, over one wire, in order: a byte of type, two of length, and
 * that much.
 */
#ifndef EXILE_FRAMES_H
#define EXILE_FRAMES_H

#include "shim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_DATA = 'd',       /* typed, or to be shown */
    FRAME_SIZE = 'w',       /* home's window: a struct winsize */
    FRAME_FOREGROUND = 'f', /* whether the process is in the foreground at home: a byte */
    FRAME_MODES = 'm',      /* the destination's: a struct termios */

    FRAME_HEAD = 3,
    FRAME_MAX = 4096,
    FRAME_ROOM = FRAME_HEAD + FRAME_MAX,
};

struct frame {
    char type;
    size_t size;
    const unsigned char *data; /* until frames_done() */
};

struct frames {
    int wire;      /* nonblocking */
    bool ended;    /* our FIN is said, or is to be said when all is sent */
    uint64_t sent; /* bytes, heads included */
    uint64_t done; /* bytes of frames that have been dealt with */
    size_t in_used;
    size_t out_used;
    unsigned char in[FRAME_ROOM];
    unsigned char out[4 * FRAME_ROOM];
};

/* Whether two more frames fit: of what others may send at any time there is always room for one. */
must_use bool frames_room(const struct frames *frames);

/* Sends a frame, or keeps it until it can be sent. Dropped where there is no room at all, or after the end. */
void frames_put(struct frames *frames, char type, const void *data, size_t size);

/* No more frames come from here. */
void frames_end(struct frames *frames);

/* Sends what is kept. -EPIPE: the wire is broken. */
must_use int frames_flush(struct frames *frames);

/* 1: a whole frame is here, the same one until frames_done(). 0: not yet. -EPIPE: there will be none. */
must_use int frames_next(struct frames *frames, struct frame *frame);

void frames_done(struct frames *frames);

/* What to poll(2) for, when frames are wanted or not. */
short frames_events(const struct frames *frames, bool wanted);

#endif
