#include "server.h"
#include "talk.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_S = 5 };

int server_open(struct server *server, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    for (size_t i = 0; i < SERVER_CLIENTS; i++)
        server->clients[i].fd = -1;
    server->keeper_end = -1;
    if (talk_check_path(path) < 0)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (unlink(path) < 0 && errno != ENOENT) {
        close(fd);
        return -errno;
    }
    umask(0177);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, SERVER_CLIENTS) < 0) {
        int error = -errno;

        close(fd);
        return error;
    }
    server->listener = fd;
    return 0;
}

static void hang_up(struct lines *client)
{
    close(client->fd);
    *client = (struct lines){.fd = -1};
}

static bool is_root(int fd)
{
    struct ucred peer = {.uid = 1};
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0;
}

static struct lines *free_client(struct server *server)
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        if (server->clients[i].fd < 0)
            return &server->clients[i];
    }
    return NULL;
}

static void accept_client(struct server *server)
{
    const struct timeval patience = {.tv_sec = ANSWER_TIMEOUT_S};
    struct lines *client = free_client(server);
    int fd = client ? accept4(server->listener, NULL, NULL, SOCK_CLOEXEC) : -1;

    if (fd < 0)
        return;
    if (!is_root(fd) || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) {
        close(fd);
        return;
    }
    *client = (struct lines){.fd = fd};
}

/* Room for the answers to whatever one lines_fill() brings. A client that reads no answers is not read either. */
static bool has_room(int fd)
{
    struct pollfd client = {.fd = fd, .events = POLLOUT};

    return poll(&client, 1, 0) == 1;
}

void server_poll(const struct server *server, struct pollfd polls[SERVER_POLLS])
{
    bool room = false;

    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        int fd = server->clients[i].fd;

        polls[i] = (struct pollfd){.fd = fd, .events = fd < 0 || has_room(fd) ? POLLIN : POLLOUT};
        room |= fd < 0;
    }
    polls[SERVER_CLIENTS] = (struct pollfd){.fd = room ? server->listener : -1, .events = POLLIN};
    polls[SERVER_CLIENTS + 1] = (struct pollfd){.fd = server->keeper_end, .events = POLLIN};
}

void server_step(struct server *server, const struct pollfd polls[SERVER_POLLS], server_obey *obey,
                 void *context)
{
    char line[LINE_SIZE];

    if (polls[SERVER_CLIENTS + 1].revents) {
        server->alone = true;
        return;
    }
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        struct lines *client = &server->clients[i];
        int error = 0;

        if (client->fd < 0)
            continue;
        if (polls[i].revents != 0 && polls[i].revents != POLLOUT)
            error = lines_fill(client);
        while (lines_next(client, line))
            obey(context, client->fd, line);
        if (error < 0 && error != -EAGAIN) {
            obey(context, client->fd, NULL);
            hang_up(client);
        }
    }
    if (polls[SERVER_CLIENTS].revents)
        accept_client(server);
}
