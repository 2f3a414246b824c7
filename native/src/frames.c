#include "frames.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

bool frames_room(const struct frames *frames)
{
    return frames->out_used + 2 * FRAME_ROOM <= sizeof(frames->out);
}

int frames_flush(struct frames *frames)
{
    while (frames->out_used > 0) {
        ssize_t n = send(frames->wire, frames->out, frames->out_used, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -EPIPE;
        frames->sent += (uint64_t)n;
        frames->out_used -= (size_t)n;
        memmove(frames->out, frames->out + n, frames->out_used);
    }
    if (frames->ended && shutdown(frames->wire, SHUT_WR) < 0)
        return -EPIPE;
    return 0;
}

void frames_put(struct frames *frames, char type, const void *data, size_t size)
{
    unsigned char *out = frames->out + frames->out_used;

    if (frames->ended || frames->out_used + FRAME_HEAD + size > sizeof(frames->out))
        return;
    out[0] = (unsigned char)type;
    out[1] = (unsigned char)(size >> 8);
    out[2] = (unsigned char)size;
    memcpy(out + FRAME_HEAD, data, size);
    frames->out_used += FRAME_HEAD + size;
}

void frames_end(struct frames *frames)
{
    frames->ended = true;
}

static size_t whole(const struct frames *frames)
{
    return FRAME_HEAD + ((size_t)frames->in[1] << 8 | frames->in[2]);
}

int frames_next(struct frames *frames, struct frame *frame)
{
    while (frames->in_used < FRAME_HEAD || frames->in_used < whole(frames)) {
        size_t wanted = frames->in_used < FRAME_HEAD ? FRAME_HEAD : whole(frames);
        ssize_t n;

        if (wanted > sizeof(frames->in))
            return -EPIPE;
        n = recv(frames->wire, frames->in + frames->in_used, wanted - frames->in_used, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return -EPIPE;
        frames->in_used += (size_t)n;
    }
    *frame = (struct frame){
        .type = (char)frames->in[0],
        .size = whole(frames) - FRAME_HEAD,
        .data = frames->in + FRAME_HEAD,
    };
    return 1;
}

void frames_done(struct frames *frames)
{
    frames->done += frames->in_used;
    frames->in_used = 0;
}

short frames_events(const struct frames *frames, bool wanted)
{
    return (short)((wanted ? POLLIN : 0) | (frames->out_used > 0 ? POLLOUT : 0));
}
