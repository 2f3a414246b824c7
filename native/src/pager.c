/*
 * Job `pager`: gives the memory of restored processes to them, as they touch it and in the background, out of
 * files (stores) in which it arrives. One process per migration and destination, and its keeper (see keeper.h).
 * It outlives the agent.
 *
 *   exile-shim pager --socket PATH   prints "pager PID", the process that stays and listens at PATH
 *
 * Lines on the socket, each answered in turn unless said otherwise, or by "error TEXT":
 *   process VPID STORE PLAN   CRIU is going to restore this process. STORE: a sparse file, as long as its last
 *                             area's end. PLAN: see plan.h.                    process VPID
 *   listen DIR                waits for CRIU's restore in its work directory      listening
 *   here VPID START END       the store has got this range (of one area) by now   (no answer)
 *   follow                    from now on this client hears what happens          following
 *   missing VPID              what the store lacks and the process still needs: lines
 *                             missing VPID START END, then                        end
 *   status                    status VPID missing N here N installed N faults N waiting N STATE, a line each,
 *                             in pages but for faults (that were served); STATE: expected, served, finished
 *                             or gone; then                                       end
 *   pid                       our process now, and its keeper                     pid PID PID
 *   quit                      lets go of all as it is                             bye
 *
 * VPIDs are those that CRIU's restore sees; addresses are those at the dump. What a follower hears:
 *   want VPID ADDR            a thread waits for this page, which is missing
 *   finished VPID             nothing of it, nor of children that it has forked since, is missing or not in place: it needs
 *                             us no more
 *   gone VPID                 it has exited, or executes another program, before that
 *   resumed                   CRIU has restored all
 *   error VPID TEXT           its store cannot be read: threads wait; it is tried again
 * A new one hears first what is the case already.
 *
 * It ends by "quit", and by itself when all announced processes are finished or gone and no client has been there for some seconds. When
 * a worker was killed, the next one hangs up on all clients: what they said last may be lost.
 */
#include "events.h"
#include "followers.h"
#include "resident.h"
#include "restorer.h"
#include "serve.h"
#include "sys.h"
#include "views.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MAX_WORDS = 4,
    /* How often those are looked for that have gone and wait for nothing. */
    LOOK_US = 500000,
    /* Somebody cannot be served just now, which passes soon. */
    SOON_US = 50,
    /* For the first client to come, and for the next one. */
    PATIENCE_US = 30000000,
    LINGER_US = 5000000,
};

struct pager {
    struct views views;
    struct followers followers;
    struct restorer restorer;
    pid_t keeper;
    bool begun;
    bool in_order; /* the worker before ended by itself */
    bool quit;
    bool visited;
    uint64_t alone_since;
    uint64_t look_at;
    size_t turn; /* whose pages are put in next */
};

static void obey_process(struct pager *pager, int client, char **words)
{
    struct plan plan;
    struct stat info;
    long vpid;
    int store;
    int error;

    if (sys_parse_number(words[1], 1, INT_MAX, &vpid) < 0) {
        line_say(client, "error process VPID STORE PLAN");
        return;
    }
    error = plan_read(&plan, words[3]);
    if (error < 0) {
        line_say(client, "error the plan %s: %s", words[3], strerror(-error));
        return;
    }
    store = open(words[2], O_RDWR | O_CLOEXEC);
    error = store < 0 || fstat(store, &info) < 0 ? -errno : 0;
    if (error == 0 && plan.area_count > 0 &&
        (uint64_t)info.st_size < plan.areas[plan.area_count - 1].end)
        error = -ENODATA;
    if (error == 0)
        error = views_announce(&pager->views, (int)vpid, store, &plan);
    if (error < 0) {
        line_say(client, "error process %ld, store %s: %s", vpid, words[2], strerror(-error));
        plan_free(&plan);
        if (store >= 0)
            close(store);
        return;
    }
    line_say(client, "process %ld", vpid);
}

static void obey_listen(struct pager *pager, int client, char **words)
{
    int error = restorer_listen(&pager->restorer, words[1]);

    if (error < 0)
        line_say(client, "error cannot listen in %s: %s", words[1], strerror(-error));
    else
        line_say(client, "listening");
}

static struct process *process_named(struct pager *pager, int client, const char *word)
{
    struct process *process = NULL;
    long vpid;

    if (sys_parse_number(word, 1, INT_MAX, &vpid) == 0)
        process = views_find(&pager->views, (int)vpid);
    if (!process)
        line_say(client, "error no such process: %s", word);
    return process;
}

static void obey_here(struct pager *pager, int client, char **words)
{
    struct process *process = process_named(pager, client, words[1]);
    const struct area *area = NULL;
    uint64_t start;
    uint64_t end;
    uint64_t first;

    if (!process)
        return;
    if (plan_number(words[2], &start) == 0 && plan_number(words[3], &end) == 0 && start < end)
        area = plan_find(&process->plan, start, end);
    if (!area) {
        line_say(client, "error here VPID START END, within one area");
        return;
    }
    first = area->index + (start - area->start) / PAGE_SIZE;
    serve_here(&pager->views, process, first, first + (end - start) / PAGE_SIZE);
}

static void obey_follow(struct pager *pager, int client)
{
    line_say(client, "following");
    followers_add(&pager->followers, &pager->views, client);
}

static bool lacks(const struct pager *pager, const struct process *process, uint64_t index)
{
    enum page page = views_page(&pager->views, process, index);

    return page == PAGE_MISSING || page == PAGE_ASKED;
}

static void obey_missing(struct pager *pager, int client, char **words)
{
    const struct process *process = process_named(pager, client, words[1]);

    if (!process)
        return;
    for (size_t i = 0; i < process->plan.area_count; i++) {
        const struct area *area = &process->plan.areas[i];
        uint64_t start = area->start;

        while (start < area->end) {
            uint64_t index = area->index + (start - area->start) / PAGE_SIZE;
            uint64_t end = start;

            for (; end < area->end && lacks(pager, process, index); index++)
                end += PAGE_SIZE;
            if (end > start)
                line_say(client, "missing %d %llx %llx", process->vpid, (unsigned long long)start,
                         (unsigned long long)end);
            start = end + PAGE_SIZE;
        }
    }
    line_say(client, "end");
}

static void obey_status(const struct pager *pager, int client)
{
    static const char *const states[] = {"expected", "served", "finished", "gone"};

    for (size_t i = 0; i < pager->views.process_count; i++) {
        const struct process *process = pager->views.processes[i];
        unsigned long long counts[PAGE_DONE + 1] = {0};

        for (uint64_t index = 0; index < process->plan.pages; index++)
            counts[views_page(&pager->views, process, index)]++;
        line_say(client, "status %d missing %llu here %llu installed %llu faults %llu waiting %llu %s",
                 process->vpid, counts[PAGE_MISSING] + counts[PAGE_ASKED], counts[PAGE_HERE],
                 counts[PAGE_DONE], (unsigned long long)process->faults, counts[PAGE_ASKED],
                 states[process->state]);
    }
    line_say(client, "end");
}

static size_t split(char *line, char *words[MAX_WORDS])
{
    char *rest = NULL;
    size_t count = 0;

    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (count == MAX_WORDS)
            return 0;
        words[count++] = word;
    }
    return count;
}

static void obey(void *context, int client, char *line)
{
    struct pager *pager = context;
    char *words[MAX_WORDS] = {0};
    size_t count;

    if (!line) {
        followers_remove(&pager->followers, client);
        return;
    }
    count = split(line, words);
    if (count == 4 && strcmp(words[0], "here") == 0)
        obey_here(pager, client, words);
    else if (count == 4 && strcmp(words[0], "process") == 0)
        obey_process(pager, client, words);
    else if (count == 2 && strcmp(words[0], "listen") == 0)
        obey_listen(pager, client, words);
    else if (count == 1 && strcmp(words[0], "follow") == 0)
        obey_follow(pager, client);
    else if (count == 2 && strcmp(words[0], "missing") == 0)
        obey_missing(pager, client, words);
    else if (count == 1 && strcmp(words[0], "status") == 0)
        obey_status(pager, client);
    else if (count == 1 && strcmp(words[0], "pid") == 0)
        line_say(client, "pid %d %d", getpid(), pager->keeper);
    else if (count == 1 && strcmp(words[0], "quit") == 0) {
        line_say(client, "bye");
        pager->quit = true;
    } else
        line_say(client, "error no such command");
}

static bool has_client(const struct server *server)
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        if (server->clients[i].fd >= 0)
            return true;
    }
    return false;
}

static bool all_served(const struct pager *pager)
{
    for (size_t i = 0; i < pager->views.view_count; i++) {
        if (pager->views.views[i])
            return false;
    }
    for (size_t i = 0; i < pager->views.process_count; i++) {
        if (pager->views.processes[i]->state < STATE_FINISHED)
            return false;
    }
    return true;
}

static bool abandoned(struct pager *pager, const struct server *server)
{
    if (has_client(server)) {
        pager->visited = true;
        pager->alone_since = sys_now();
        return false;
    }
    return sys_now() - pager->alone_since >= (pager->visited ? LINGER_US : PATIENCE_US) && all_served(pager);
}

/* Microseconds until there is something to do that nobody tells of. */
static uint64_t time_left(const struct pager *pager, uint64_t now)
{
    uint64_t next = now + LOOK_US;

    for (size_t i = 0; i < pager->views.view_count; i++) {
        const struct view *view = pager->views.views[i];
        uint64_t at = next;

        if (!view)
            continue;
        if (events_wait(view))
            at = now + SOON_US;
        else if (serve_is_late(view) || (pager->views.resumed && serve_has_more(view)))
            at = view->retry_at > now ? view->retry_at : now;
        if (at < next)
            next = at;
    }
    return next - now;
}

/* The view's process needs it no more, or has gone. */
static void let_go(struct pager *pager, size_t slot, enum state state)
{
    if (state == STATE_FINISHED)
        serve_release(pager->views.views[slot]);
    views_close(&pager->views, slot, state);
}

static void serve_views(struct pager *pager, const struct pollfd *polls, size_t count)
{
    struct views *views = &pager->views;

    for (size_t i = 0; i < views->view_count; i++) {
        struct view *view = views->views[i];
        int error = 0;

        if (!view)
            continue;
        if ((i < count && polls[i].revents) || events_wait(view))
            error = events_serve(views, view);
        if (error != -ESRCH)
            error = serve_later(views, view);
        if (error == -ESRCH)
            let_go(pager, i, STATE_GONE);
    }
}

static void finish_views(struct pager *pager)
{
    struct views *views = &pager->views;

    for (size_t i = 0; views->resumed && i < views->view_count; i++) {
        struct view *view = views->views[i];

        if (view && !events_wait(view) && serve_is_complete(view))
            let_go(pager, i, STATE_FINISHED);
    }
}

/* One chunk of one view, so that faults do not wait for long. */
static void serve_one_ahead(struct pager *pager)
{
    struct views *views = &pager->views;

    for (size_t i = 0; views->resumed && i < views->view_count; i++) {
        size_t slot = ++pager->turn % views->view_count;
        struct view *view = views->views[slot];

        if (!view || !serve_has_more(view) || sys_now() < view->retry_at)
            continue;
        if (serve_ahead(views, view) == -ESRCH)
            let_go(pager, slot, STATE_GONE);
        return;
    }
}

/* Of those that go nobody tells. */
static void look_for_gone(struct pager *pager)
{
    struct views *views = &pager->views;

    if (sys_now() < pager->look_at)
        return;
    pager->look_at = sys_now() + LOOK_US;
    for (size_t i = 0; i < views->view_count; i++) {
        if (views->views[i] && !uffd_lives(views->views[i]->fd))
            let_go(pager, i, STATE_GONE);
    }
}

static void turn(struct pager *pager, struct server *server)
{
    enum { FIRST = SERVER_POLLS + SERVER_CLIENTS + RESTORER_POLLS };
    static struct pollfd polls[FIRST + MAX_VIEWS];
    struct pollfd *of_followers = polls + SERVER_POLLS;
    struct pollfd *of_restorer = of_followers + SERVER_CLIENTS;
    struct pollfd *of_views = polls + FIRST;
    size_t count = pager->views.view_count;
    uint64_t left = time_left(pager, sys_now());
    struct timespec timeout = {.tv_nsec = (long)left * 1000};

    server_poll(server, polls);
    followers_poll(&pager->followers, of_followers);
    restorer_poll(&pager->restorer, of_restorer);
    for (size_t i = 0; i < count; i++) {
        const struct view *view = pager->views.views[i];

        of_views[i] = (struct pollfd){.fd = view ? view->fd : -1, .events = POLLIN};
    }
    if (ppoll(polls, FIRST + count, &timeout, NULL) < 0)
        return;
    serve_views(pager, of_views, count);
    if (of_restorer[0].revents || of_restorer[1].revents || left == LOOK_US)
        restorer_step(&pager->restorer, &pager->views);
    server_step(server, polls, obey, pager);
    serve_one_ahead(pager);
    finish_views(pager);
    look_for_gone(pager);
    followers_tell(&pager->followers, &pager->views);
}

static void hang_up(struct server *server)
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        int fd = server->clients[i].fd;

        server->clients[i] = (struct lines){.fd = -1};
        if (fd >= 0)
            close(fd);
    }
}

static void begin(struct pager *pager)
{
    struct rlimit limit;

    pager->alone_since = sys_now();
    pager->views.closing = -1;
    followers_clear(&pager->followers);
    restorer_clear(&pager->restorer);
    /* A process is a descriptor or two. What it has is enough for most. */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            errno = 0;
    }
    /* What it has not given to them yet they never get if it is killed for want of memory. */
    if (sys_write_at(AT_FDCWD, "/proc/self/oom_score_adj", "-1000") < 0)
        errno = 0;
    pager->begun = true;
}

/* The one before was killed: what it had begun is done once more, or is left. */
static void recover(struct pager *pager, struct server *server)
{
    hang_up(server);
    followers_clear(&pager->followers);
    views_recover(&pager->views);
    restorer_step(&pager->restorer, &pager->views);
    for (size_t i = 0; i < pager->views.view_count; i++) {
        if (pager->views.views[i])
            serve_recover(pager->views.views[i]);
    }
    pager->alone_since = sys_now();
}

static int serve(struct server *server)
{
    static struct pager pager;

    if (!pager.begun)
        begin(&pager);
    else if (!pager.in_order)
        recover(&pager, server);
    pager.in_order = false;
    pager.keeper = server->keeper;
    while (!pager.quit && !server->alone && !abandoned(&pager, server))
        turn(&pager, server);
    pager.in_order = true;
    return EXIT_OK;
}

int job_pager(int argc, char **argv)
{
    return resident_start("pager", argc, argv, serve, true);
}
