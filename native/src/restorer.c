#include "restorer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const int RESTORE_FINISHED = 0x52535446;

/* Where those are looked for of which nobody knows. */
enum { MOST_DESCRIPTORS = 2 * MAX_VIEWS };

void restorer_clear(struct restorer *restorer)
{
    *restorer = (struct restorer){.listener = -1, .fd = -1};
}

static void drop(int *fd)
{
    int old = *fd;

    *fd = -1;
    if (old >= 0)
        close(old);
}

/* The directory's own path may be longer than an address can be. */
static int listen_in(int directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (unlinkat(directory, "lazy-pages.socket", 0) < 0 && errno != ENOENT)
        return -errno;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/lazy-pages.socket", directory);
    umask(0177);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

int restorer_listen(struct restorer *restorer, const char *directory)
{
    int place = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd;

    if (place < 0)
        return -errno;
    fd = listen_in(place);
    close(place);
    if (fd < 0)
        return fd;
    drop(&restorer->listener);
    drop(&restorer->fd);
    /* The next message is a new one. */
    memset(restorer->messages, 0, sizeof(restorer->messages));
    restorer->listener = fd;
    return 0;
}

void restorer_poll(const struct restorer *restorer, struct pollfd polls[RESTORER_POLLS])
{
    polls[0] = (struct pollfd){.fd = restorer->fd < 0 ? restorer->listener : -1, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = restorer->fd, .events = POLLIN};
}

static int descriptor_in(const struct restorer_message *message)
{
    const struct cmsghdr *header = (const void *)message->control;
    int fd;

    if (header->cmsg_len < CMSG_LEN(sizeof(int)) || header->cmsg_type != SCM_RIGHTS)
        return -1;
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

bool restorer_is_late(const struct restorer *restorer)
{
    return restorer->messages[restorer->current].pid != 0;
}

static int done_with(struct restorer *restorer)
{
    unsigned int next = !restorer->current;

    memset(&restorer->messages[next], 0, sizeof(restorer->messages[next]));
    restorer->current = next;
    return 1;
}

static int receive_descriptor(int fd, struct restorer_message *message)
{
    char byte;
    struct iovec data = {.iov_base = &byte, .iov_len = 1};
    struct msghdr header = {.msg_iov = &data,
                            .msg_iovlen = 1,
                            .msg_control = message->control,
                            .msg_controllen = sizeof(message->control)};
    ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    return n < 0 ? -errno : n == 0 ? -EPIPE : 0;
}

/* 1: go on; 0: there is no more now; an error: it is over. */
static int take(struct restorer *restorer, struct views *views)
{
    struct restorer_message *message = &restorer->messages[restorer->current];

    if (message->pid == 0) {
        ssize_t n = recv(restorer->fd, &message->pid, sizeof(message->pid), MSG_DONTWAIT);

        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
            return -EPIPE;
    }
    if (message->pid == RESTORE_FINISHED)
        views->resumed = true;
    if (message->pid < 0 || message->pid == RESTORE_FINISHED)
        return done_with(restorer);
    if (descriptor_in(message) < 0) {
        int error = receive_descriptor(restorer->fd, message);

        if (error < 0)
            return error == -EAGAIN || error == -EINTR ? 0 : error;
    }
    switch (views_arrived(views, message->pid, descriptor_in(message))) {
    case -ENOMEM:
    case -EMFILE:
        return 0; /* again, in a while */
    default:
        /* A second one of a process is kept: better one that waits for ever than one with wrong memory. */
        break;
    }
    return done_with(restorer);
}

void restorer_step(struct restorer *restorer, struct views *views)
{
    int more = 1;

    if (restorer->fd < 0 && restorer->listener >= 0) {
        restorer->fd = accept4(restorer->listener, NULL, NULL, SOCK_CLOEXEC);
        if (restorer->fd < 0)
            return;
    }
    while (restorer->fd >= 0 && more > 0)
        more = take(restorer, views);
    if (more < 0) {
        drop(&restorer->fd);
        drop(&restorer->listener);
    }
}

static bool is_connection_of(int fd, const struct sockaddr_un *listener, socklen_t size)
{
    struct sockaddr_un name = {0};
    socklen_t name_size = sizeof(name);
    int listening = 1;
    socklen_t int_size = sizeof(listening);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_size) == 0 && !listening &&
           getsockname(fd, (struct sockaddr *)&name, &name_size) == 0 && name_size == size &&
           memcmp(&name, listener, size) == 0;
}

int restorer_accepted(int listener, int from)
{
    struct sockaddr_un name = {0};
    socklen_t size = sizeof(name);

    if (getsockname(listener, (struct sockaddr *)&name, &size) < 0)
        return -errno;
    for (int fd = from; fd < MOST_DESCRIPTORS; fd++) {
        if (is_connection_of(fd, &name, size))
            return fd;
    }
    return -ENOENT;
}

void restorer_recover(struct restorer *restorer, struct views *views)
{
    if (restorer->fd < 0 && restorer->listener >= 0)
        restorer->fd = restorer_accepted(restorer->listener, 0);
    restorer_step(restorer, views);
}
