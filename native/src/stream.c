#include "stream.h"
#include "sys.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 16,
    TURN = 16 * CHUNK, /* then it is the others' turn */
};

static void drop(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int join(struct stream *stream, const char *name, bool up)
{
    int ends[2];
    int error = wire_pair(ends);

    if (error < 0)
        return error;
    snprintf(stream->name, sizeof(stream->name), "%s", name);
    stream->up = up;
    stream->wire = ends[0];
    stream->far = ends[1];
    return 0;
}

int stream_take(struct stream *stream, const char *name, bool up, pid_t pid, int fd)
{
    int real = sys_take_fd(pid, fd);
    int error;

    if (real < 0)
        return real;
    *stream = (struct stream){.real = real, .end = -1};
    error = join(stream, name, up);
    if (error < 0)
        close(real);
    return error;
}

int stream_make(struct stream *stream, const char *name, bool up, int size, uint64_t bytes)
{
    int ends[2];
    int error;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    /* Where it may not grow, it is a smaller pipe. */
    if (size > 0 && fcntl(ends[0], F_SETPIPE_SZ, size) < 0)
        errno = 0;
    *stream = (struct stream){.real = ends[up ? 0 : 1], .end = ends[up ? 1 : 0], .bytes = bytes};
    error = join(stream, name, up);
    if (error < 0) {
        close(ends[0]);
        close(ends[1]);
    }
    return error;
}

void stream_given(struct stream *stream)
{
    drop(&stream->far);
    drop(&stream->end);
}

int stream_size(const struct stream *stream)
{
    int size = fcntl(stream->real, F_GETPIPE_SZ);

    return size < 0 ? 0 : size;
}

int stream_pending(const struct stream *stream)
{
    int source = stream->up ? stream->real : stream->wire;
    int bytes = 0;

    return source < 0 || ioctl(source, FIONREAD, &bytes) < 0 ? 0 : bytes;
}

static void say_fin(const struct stream *stream)
{
    /* ENOTCONN: the other side is gone altogether. */
    if (shutdown(stream->wire, SHUT_WR) < 0)
        errno = 0;
}

/* No more bytes to come from here. The wire stays until the other side confirms that it has them all. */
static void exhausted(struct stream *stream)
{
    drop(&stream->real);
    say_fin(stream);
}

static void over(struct stream *stream)
{
    drop(&stream->real);
    say_fin(stream);
    drop(&stream->wire);
}

static void step_up(struct stream *stream, const struct pollfd *wire)
{
    if (wire->revents & (POLLRDHUP | POLLHUP | POLLERR)) {
        over(stream);
        return;
    }
    stream->blocked = false;
    for (int moved = 0; stream->real >= 0 && moved < TURN;) {
        ssize_t n = splice(stream->real, NULL, stream->wire, NULL, CHUNK, SPLICE_F_NONBLOCK);

        if (n > 0) {
            stream->bytes += (uint64_t)n;
            moved += (int)n;
        } else if (n == 0) {
            exhausted(stream);
        } else if (errno == EAGAIN) {
            stream->blocked = stream_pending(stream) > 0;
            return;
        } else if (errno != EINTR) {
            over(stream);
            return;
        }
    }
}

/* Nobody reads the pipe any more. What still comes is thrown away, up to its end: it has been sent already. */
static void unwanted(struct stream *stream)
{
    drop(&stream->real);
    say_fin(stream);
    stream->blocked = false;
}

static ssize_t discard(const struct stream *stream)
{
    return recv(stream->wire, NULL, CHUNK, MSG_TRUNC | MSG_DONTWAIT);
}

/* For what splice(2) cannot write to: looked at, written, and only then taken off the wire. */
static ssize_t copy_down(const struct stream *stream)
{
    static char buffer[CHUNK];
    ssize_t n = recv(stream->wire, buffer, sizeof(buffer), MSG_PEEK | MSG_DONTWAIT);

    if (n > 0)
        n = write(stream->real, buffer, (size_t)n);
    return n > 0 ? recv(stream->wire, NULL, (size_t)n, MSG_TRUNC | MSG_DONTWAIT) : n;
}

static bool is_pipe(int fd)
{
    struct stat info;

    return fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode);
}

static ssize_t move_down(const struct stream *stream)
{
    if (stream->real < 0)
        return discard(stream);
    if (is_pipe(stream->real))
        return splice(stream->wire, NULL, stream->real, NULL, CHUNK, SPLICE_F_NONBLOCK);
    return copy_down(stream);
}

static void step_down(struct stream *stream, const struct pollfd *real)
{
    if (real->revents & POLLERR)
        unwanted(stream);
    stream->blocked = false;
    for (int moved = 0; moved < TURN;) {
        ssize_t n = move_down(stream);

        if (n > 0) {
            stream->bytes += (uint64_t)n;
            moved += (int)n;
        } else if (n == 0 || errno == ECONNRESET || errno == ETIMEDOUT) {
            over(stream);
            return;
        } else if (errno == EAGAIN) {
            stream->blocked = stream->real >= 0 && stream_pending(stream) > 0;
            return;
        } else if (errno != EINTR) {
            /* EPIPE; of a file also a full disk, which the process learns like that. */
            unwanted(stream);
        }
    }
}

void stream_poll(const struct stream *stream, struct pollfd polls[STREAM_POLLS])
{
    bool blocked = stream->blocked;

    /* A pipe without writers is always ready, whatever is asked for: while blocked it is left out. */
    if (stream->up) {
        polls[0] = (struct pollfd){.fd = blocked ? -1 : stream->real, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = stream->wire, .events = POLLRDHUP | (blocked ? POLLOUT : 0)};
    } else {
        polls[0] = (struct pollfd){.fd = stream->real, .events = blocked ? POLLOUT : 0};
        polls[1] = (struct pollfd){.fd = blocked ? -1 : stream->wire, .events = POLLIN};
    }
}

void stream_step(struct stream *stream, const struct pollfd polls[STREAM_POLLS])
{
    if (stream->wire < 0 || (polls[0].revents == 0 && polls[1].revents == 0))
        return;
    if (stream->up)
        step_up(stream, &polls[1]);
    else
        step_down(stream, &polls[0]);
}
