/*
 * Job `park`: holds the sockets of a moved process while agents come and go. One process per migration and
 * host. Of its sockets it reads and writes nothing; it only accepts, so that a new connection is never in the
 * agent's hands alone.
 *
 *   exile-shim park --socket PATH   prints "park PID", the process that stays and listens at PATH
 *
 * Lines on the socket; each is answered in turn, or by "error TEXT":
 *   hold NAME FD NOTE     takes a duplicate of the client's descriptor FD        held NAME OWN
 *   listen NAME FD NOTE   the same of a listening socket                         held NAME OWN
 *                         where it cannot                                        refused NAME TEXT
 *   drop OWN              closes it                                              dropped OWN
 *   list                  a line for each, then "end"                            socket|listener OWN NAME NOTE
 *   accept                from now on this client hears of new connections       accepting
 *   quit                  drops all                                              bye
 *
 * OWN is our number of the descriptor: the client takes it with pidfd_getfd(2). NOTE is anything, to the end of
 * the line. While a client accepts, each connection that comes is held as NAME.N of its listener, N unique for
 * all time on this machine, with the note "accepted NAME", and the client hears "accepted OWN NAME.N NAME". With no such
 * client, nothing is accepted: connections wait in the kernel's backlogs.
 *
 * It ends by "quit", and by itself when it holds nothing and its last client has gone, or has not come.
 */
#include "resident.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    NAME_SIZE = 128,
    NOTE_SIZE = 256,
    MAX_LISTENERS = 1024,
    ACCEPTS_PER_TURN = 16,
    /* After a failed accept: out of descriptors or memory, and that passes. */
    RETRY_MS = 100,
    /* Where the client does not read what it is told. */
    ROOM_MS = 5,
    /* For the first client to come. */
    PATIENCE_MS = 30000,
};

/* What is held, at the index of its own descriptor. */
struct held {
    bool taken;
    bool listening;
    char name[NAME_SIZE];
    char note[NOTE_SIZE];
};

struct park {
    struct held **held;
    int size;
    int count;
    int listeners[MAX_LISTENERS]; /* own descriptors */
    size_t listener_count;
    int acceptor; /* the client that hears of new connections, or -1 */
    bool visited;
    bool over;
    uint64_t born;
    uint64_t last_number;
    uint64_t accept_at; /* no accept before */
};

static struct held *keep(struct park *park, int fd, const char *name, const char *note)
{
    struct held *held;

    if (fd >= park->size) {
        int size = fd + 1 > 2 * park->size ? fd + 1 : 2 * park->size;
        struct held **grown = realloc(park->held, (size_t)size * sizeof(*grown));

        if (!grown)
            return NULL;
        memset(grown + park->size, 0, (size_t)(size - park->size) * sizeof(*grown));
        park->held = grown;
        park->size = size;
    }
    held = calloc(1, sizeof(*held));
    if (!held)
        return NULL;
    snprintf(held->name, sizeof(held->name), "%s", name);
    snprintf(held->note, sizeof(held->note), "%s", note);
    park->held[fd] = held;
    park->count++;
    return held;
}

static pid_t client_pid(int client)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);

    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -errno : peer.pid;
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int hold(struct park *park, int fd, const char *name, const char *note, bool listening)
{
    struct held *held;

    if (listening && park->listener_count == MAX_LISTENERS)
        return -EMFILE;
    held = keep(park, fd, name, note);
    if (!held)
        return -ENOMEM;
    if (listening) {
        held->listening = true;
        park->listeners[park->listener_count++] = fd;
        /* Not before somebody accepts: until then the socket may be given back as it was. */
        if (park->acceptor >= 0)
            return set_nonblocking(fd);
    }
    return 0;
}

static void obey_hold(struct park *park, int client, char *arguments, bool listening)
{
    char *rest = NULL;
    const char *name = strtok_r(arguments, " ", &rest);
    const char *number = strtok_r(NULL, " ", &rest);
    long theirs;
    int own;
    int error;

    if (!name || strlen(name) >= NAME_SIZE || !number || sys_parse_number(number, 0, INT_MAX, &theirs) < 0 ||
        strlen(rest) >= NOTE_SIZE) {
        line_say(client, "error hold|listen NAME FD NOTE");
        return;
    }
    own = sys_take_fd(client_pid(client), (int)theirs);
    error = own < 0 ? own : hold(park, own, name, rest, listening);
    if (error < 0) {
        if (own >= 0 && (own >= park->size || !park->held[own]))
            close(own);
        line_say(client, "refused %s %s", name, strerror(-error));
        return;
    }
    line_say(client, "held %s %d", name, own);
}

/* Nothing is accepted from this listener any more. */
static void leave_out(struct park *park, int own)
{
    for (size_t i = 0; i < park->listener_count; i++) {
        if (park->listeners[i] == own) {
            park->listeners[i] = park->listeners[--park->listener_count];
            return;
        }
    }
}

static void drop(struct park *park, int own)
{
    free(park->held[own]);
    park->held[own] = NULL;
    park->count--;
    leave_out(park, own);
    close(own);
}

static void obey_drop(struct park *park, int client, const char *number)
{
    long own;

    if (sys_parse_number(number, 0, park->size - 1L, &own) < 0 || !park->held[own]) {
        line_say(client, "error nothing is held as %s", number);
        return;
    }
    drop(park, (int)own);
    line_say(client, "dropped %ld", own);
}

static void obey_list(const struct park *park, int client)
{
    for (int own = 0; own < park->size; own++) {
        const struct held *held = park->held[own];

        if (held)
            line_say(client, "%s %d %s %s", held->listening ? "listener" : "socket", own, held->name,
                     held->note);
    }
    line_say(client, "end");
}

static void obey_accept(struct park *park, int client)
{
    for (size_t i = 0; i < park->listener_count; i++) {
        int error = set_nonblocking(park->listeners[i]);

        if (error < 0) {
            line_say(client, "error cannot accept: %s", strerror(-error));
            return;
        }
    }
    park->acceptor = client;
    line_say(client, "accepting");
}

static void obey(void *context, int client, char *line)
{
    struct park *park = context;
    char *rest = NULL;
    const char *word;

    if (!line) {
        if (park->acceptor == client)
            park->acceptor = -1;
        return;
    }
    word = strtok_r(line, " ", &rest);
    if (!word)
        line_say(client, "error an empty line");
    else if (strcmp(word, "hold") == 0 || strcmp(word, "listen") == 0)
        obey_hold(park, client, rest, word[0] == 'l');
    else if (strcmp(word, "drop") == 0)
        obey_drop(park, client, rest);
    else if (strcmp(word, "list") == 0)
        obey_list(park, client);
    else if (strcmp(word, "accept") == 0)
        obey_accept(park, client);
    else if (strcmp(word, "quit") == 0) {
        line_say(client, "bye");
        park->over = true;
    } else
        line_say(client, "error no such command: %s", word);
}

/* Rises, also from one parker to the next: whoever remembers a name means the same connection. */
static uint64_t next_number(struct park *park)
{
    uint64_t now = sys_now();

    park->last_number = now > park->last_number ? now : park->last_number + 1;
    return park->last_number;
}

static void accepted(struct park *park, const struct held *listener, int own)
{
    char name[NAME_SIZE];
    char note[NOTE_SIZE];

    snprintf(name, sizeof(name), "%.96s.%llu", listener->name, (unsigned long long)next_number(park));
    snprintf(note, sizeof(note), "accepted %s", listener->name);
    if (!keep(park, own, name, note)) {
        close(own);
        return;
    }
    line_say(park->acceptor, "accepted %d %s %s", own, name, listener->name);
}

static void accept_from(struct park *park, int listener)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int own = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (own >= 0) {
            accepted(park, park->held[listener], own);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            park->accept_at = sys_now() + RETRY_MS * 1000;
            return;
        }
        /* Whatever is wrong with one connection, the next may be good. */
    }
}

static bool may_accept(const struct park *park)
{
    return park->acceptor >= 0 && sys_now() >= park->accept_at;
}

/* Whether the lines of one turn find room in the client's socket, so that saying them does not block. */
static bool has_room(struct park *park)
{
    struct pollfd client = {.fd = park->acceptor, .events = POLLOUT};

    if (poll(&client, 1, 0) > 0 && client.revents & POLLOUT)
        return true;
    park->accept_at = sys_now() + ROOM_MS * 1000;
    return false;
}

static int timeout_ms(const struct park *park)
{
    if (!park->visited)
        return sys_left_ms(park->born + (uint64_t)PATIENCE_MS * 1000);
    return park->acceptor >= 0 && !may_accept(park) ? sys_left_ms(park->accept_at) : -1;
}

static bool has_client(const struct server *server)
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        if (server->clients[i].fd >= 0)
            return true;
    }
    return false;
}

static bool abandoned(struct park *park, const struct server *server)
{
    if (has_client(server)) {
        park->visited = true;
        return false;
    }
    return park->count == 0 &&
           (park->visited || sys_now() >= park->born + (uint64_t)PATIENCE_MS * 1000);
}

/* A listener that somebody has shut down says POLLHUP for ever. */
static void serve_listener(struct park *park, const struct pollfd *poll)
{
    bool held = poll->fd < park->size && park->held[poll->fd] && park->held[poll->fd]->listening;

    /* The client may have gone, or have had it dropped, since the poll. */
    if (held && poll->revents & POLLIN && may_accept(park) && has_room(park))
        accept_from(park, poll->fd);
    if (held && poll->revents & (POLLHUP | POLLERR | POLLNVAL))
        leave_out(park, poll->fd);
}

static void turn(struct park *park, struct server *server)
{
    static struct pollfd polls[SERVER_POLLS + MAX_LISTENERS];
    struct pollfd *of_listeners = polls + SERVER_POLLS;
    size_t count = may_accept(park) ? park->listener_count : 0;

    server_poll(server, polls);
    for (size_t i = 0; i < count; i++)
        of_listeners[i] = (struct pollfd){.fd = park->listeners[i], .events = POLLIN};
    if (poll(polls, SERVER_POLLS + count, timeout_ms(park)) < 0) {
        if (errno != EINTR)
            sys_sleep_ms(RETRY_MS);
        return;
    }
    server_step(server, polls, obey, park);
    for (size_t i = 0; i < count; i++)
        serve_listener(park, &of_listeners[i]);
}

static int serve(struct server *server)
{
    static struct park park;

    park = (struct park){.acceptor = -1, .born = sys_now()};
    while (!park.over && !abandoned(&park, server))
        turn(&park, server);
    return EXIT_OK;
}

int job_park(int argc, char **argv)
{
    struct rlimit limit;

    /* As many as it may hold: a connection is a descriptor. What it has is enough for most. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            line_say(2, "exile-shim: park: the limit of open files stays as it is: %s", strerror(errno));
    }
    return resident_start("park", argc, argv, serve, false);
}
