#include "hold.h"
#include "lines.h"
#include "talk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 250, /* the kernel takes 253 descriptors a message */
    PATIENCE_MS = 5000,
    ATTEMPTS = 3,
};

static char holding[] = "holding\n";

void hold_clear(struct hold *hold)
{
    *hold = (struct hold){.in = -1, .out = -1};
}

/* One message, with these descriptors. */
static int pass(int to, void *data, size_t size, const int *fds, size_t count)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(BATCH * sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
        memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
    }
    return sendmsg(to, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int put_in(struct hold *hold, const struct views *views)
{
    int fds[BATCH];
    size_t count = 0;
    int error = 0;

    for (size_t i = 0; error == 0 && i < views->view_count; i++) {
        if (!views->views[i])
            continue;
        fds[count++] = views->views[i]->fd;
        if (count < BATCH)
            continue;
        error = pass(hold->in, &hold->turn, sizeof(hold->turn), fds, count);
        count = 0;
    }
    return error < 0 || count == 0 ? error : pass(hold->in, &hold->turn, sizeof(hold->turn), fds, count);
}

static bool is_former(const struct hold *hold)
{
    uint32_t turn;

    return recv(hold->out, &turn, sizeof(turn), MSG_PEEK) == sizeof(turn) && turn != hold->turn;
}

/* Descriptors of a message that is read without them are closed. False: there is none. */
static bool take_out(const struct hold *hold)
{
    uint32_t turn;

    return recv(hold->out, &turn, sizeof(turn), 0) > 0;
}

void hold_release(const struct hold *hold)
{
    while (hold->in >= 0 && take_out(hold))
        continue;
}

void hold_renew(struct hold *hold, const struct views *views)
{
    if (hold->in < 0 || hold->changes == views->changes)
        return;
    hold->turn++;
    if (put_in(hold, views) < 0) {
        /* No memory, say: then nobody else holds any, needed or not, and the next turn tries again. */
        hold_release(hold);
        return;
    }
    while (is_former(hold) && take_out(hold))
        continue;
    hold->changes = views->changes;
}

void hold_give(struct hold *hold, const struct views *views, int client)
{
    int ends[2];
    int error = 0;

    if (hold->in < 0) {
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
            line_say(client, "error cannot hold: %s", strerror(errno));
            return;
        }
        hold->out = ends[1];
        hold->changes = views->changes - 1;
        hold->in = ends[0];
        hold_renew(hold, views);
    }
    error = pass(client, holding, strlen(holding), &hold->out, 1);
    if (error < 0)
        line_say(client, "error cannot hold: %s", strerror(-error));
}

static int descriptor_from(int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    char said[sizeof(holding) - 1];
    struct iovec part = {.iov_base = said, .iov_len = sizeof(said)};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    int held;

    if (poll(&answer, 1, PATIENCE_MS) != 1)
        return -ETIMEDOUT;
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0)
        return errno == ECONNRESET ? -EPROTO : -errno;
    if (control.header.cmsg_len != CMSG_LEN(sizeof(int)) || control.header.cmsg_type != SCM_RIGHTS)
        return -EPROTO;
    memcpy(&held, CMSG_DATA(&control.header), sizeof(held));
    return held;
}

static int ask(const char *path)
{
    int fd = talk_connect(path);
    int held;

    if (fd < 0)
        return fd;
    line_say(fd, "hold");
    held = descriptor_from(fd);
    close(fd);
    return held;
}

int hold_take(const char *path)
{
    int held = ask(path);

    /* Its worker may be killed meanwhile: the next one hangs up. */
    for (int again = 1; held == -EPROTO && again < ATTEMPTS; again++)
        held = ask(path);
    return held;
}
