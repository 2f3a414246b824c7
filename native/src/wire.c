#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Anybody on this host may connect to a loopback port: ours is the one that comes from our own address. */
static bool is_from(int accepted, int connecting)
{
    struct sockaddr_in peer;
    struct sockaddr_in own;
    socklen_t peer_size = sizeof(peer);
    socklen_t own_size = sizeof(own);

    return getpeername(accepted, (struct sockaddr *)&peer, &peer_size) == 0 &&
           getsockname(connecting, (struct sockaddr *)&own, &own_size) == 0 &&
           peer.sin_port == own.sin_port && peer.sin_addr.s_addr == own.sin_addr.s_addr;
}

static int accept_ours(int listener, int connecting)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return -errno;
        if (fd >= 0 && is_from(fd, connecting))
            return fd;
        if (fd >= 0)
            close(fd);
    }
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t size = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)address, size) < 0 || listen(fd, 16) < 0 ||
        getsockname(fd, (struct sockaddr *)address, &size) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

static int send_at_once(int fd)
{
    const int yes = 1;

    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) < 0 ? -errno : 0;
}

static int connect_to(const struct sockaddr_in *address)
{
    /* Blocking: on loopback, with room in the backlog, it is done or has failed. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 || ioctl(fd, FIONBIO, &yes) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

int wire_pair(int ends[2])
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    int error;

    if (listener < 0)
        return listener;
    ends[0] = connect_to(&address);
    ends[1] = ends[0] < 0 ? ends[0] : accept_ours(listener, ends[0]);
    close(listener);
    error = ends[1] < 0 ? ends[1] : send_at_once(ends[0]);
    if (error == 0)
        error = send_at_once(ends[1]);
    if (error < 0) {
        if (ends[0] >= 0)
            close(ends[0]);
        if (ends[1] >= 0)
            close(ends[1]);
    }
    return error;
}
