#include "talk.h"
#include "sys.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int talk_check_path(const char *path)
{
    struct sockaddr_un address;

    return strlen(path) < sizeof(address.sun_path) ? 0 : -ENAMETOOLONG;
}

void talk_begin(struct talk *talk, const char *path, unsigned int retry_ms, const char *format, ...)
{
    va_list arguments;

    *talk = (struct talk){.path = path, .retry_ms = retry_ms, .in = {.fd = -1}};
    va_start(arguments, format);
    vsnprintf(talk->question, sizeof(talk->question), format, arguments);
    va_end(arguments);
}

int talk_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (talk_check_path(path) < 0)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* On a unix socket a nonblocking connect is done or has failed; EAGAIN is a full backlog, and passes. */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

void talk_end(struct talk *talk)
{
    if (talk->in.fd >= 0)
        close(talk->in.fd);
    talk->in.fd = -1;
    talk->in.used = 0;
}

void talk_again(struct talk *talk)
{
    uint64_t now = sys_now();
    bool slow = talk->slow_retry_ms && now >= talk->slow_at;

    talk_end(talk);
    talk->next_try = now + (uint64_t)(slow ? talk->slow_retry_ms : talk->retry_ms) * 1000;
}

static void try_connect(struct talk *talk)
{
    char line[LINE_SIZE + 1];
    int size = snprintf(line, sizeof(line), "%s\n", talk->question);
    int fd = talk_connect(talk->path);

    if (fd >= 0) {
        talk->in.fd = fd;
        /* MSG_NOSIGNAL: the agent may die right here. A line this short fits into a fresh socket's buffer. */
        if (send(fd, line, (size_t)size, MSG_NOSIGNAL) == size)
            return;
    }
    talk_again(talk);
}

int talk_step(struct talk *talk)
{
    if (talk->in.fd < 0 && sys_now() >= talk->next_try)
        try_connect(talk);
    if (talk->in.fd < 0)
        return 0;
    for (;;) {
        int error = lines_fill(&talk->in);

        if (lines_next(&talk->in, talk->answer))
            return 1;
        if (error == -EAGAIN)
            return 0;
        if (error < 0) {
            talk_again(talk);
            return 0;
        }
    }
}

int talk_timeout_ms(const struct talk *talk)
{
    return talk->in.fd >= 0 ? -1 : sys_left_ms(talk->next_try);
}

int talk_wait(struct talk *talk, uint64_t deadline)
{
    while (!talk_step(talk)) {
        struct pollfd answer = {.fd = talk->in.fd, .events = POLLIN};
        int timeout = talk_timeout_ms(talk);

        if (deadline) {
            int left = sys_left_ms(deadline);

            if (left == 0)
                return -ETIMEDOUT;
            if (timeout < 0 || timeout > left)
                timeout = left;
        }
        /* EINTR and friends: the next round looks again. */
        if (poll(&answer, 1, timeout) < 0 && errno != EINTR)
            sys_sleep_ms(talk->retry_ms);
    }
    return 0;
}
