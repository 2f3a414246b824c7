/*
 * Job `pager`: gives the memory of restored processes to them, as they touch it and in the background, out
 * of files (stores) in which it arrives. One process per migration and destination, and its keeper (see
 * keeper.h). It outlives the agent.
 *
 *   exile-shim pager --socket PATH   prints "pager PID", the process that stays and listens at PATH
 *
 * Lines on the socket, each answered in turn unless said otherwise, or by "error TEXT":
 *   process VPID STORE PLAN   CRIU is going to restore this process. STORE: a sparse file, as long as
 *                             its last area's end. PLAN: see plan.h. May be said anew until it comes.
 *                                                                                   process VPID
 *   listen DIR                waits for CRIU's restore in its work directory          listening
 *   here VPID START END       the store has got this range (of one area) by now       (no answer)
 *   follow                    from now on this client hears what happens              following
 *   missing VPID              what the store lacks and the process still needs, lines
 *                             missing VPID START END, then                            end
 *   status                    a line each, in pages but for faults (that were served):
 *                             status VPID missing N here N installed N faults N waiting N STATE
 *                             (expected, served, finished or gone), then              end
 *   hold                      a descriptor comes with the answer: whoever has it has all userfaultfds, see
 *                             hold.h                                                      holding
 *   pid                       our process now, and its keeper                         pid PID PID
 *   quit                      lets go of all as it is                                 bye
 *
 * VPIDs are those that CRIU's restore sees; addresses are those at the dump. What a follower hears:
 *   want VPID ADDR            a thread waits for this page, which is missing
 *   finished VPID             nothing of it, nor of children that it has forked since, is missing or not in
 *                             place: it needs us no more
 *   gone VPID                 it has exited, or executes another program, before that
 *   resumed                   CRIU has restored all
 *   error VPID TEXT           pages cannot be put in, because the store cannot be read, say; threads wait,
 *                             and it is tried again
 * A new one hears first what is the case already. It may hear of the same page twice.
 *
 * It ends by "quit", and by itself when all announced processes are finished or gone and no client has been
 * there for some seconds. When a worker was killed, the next one hangs up on all clients: what they have said
 * last may be lost, so they look for what is missing, and say "here" again.
 */
#include "pager.h"
#include "ahead.h"
#include "events.h"
#include "resident.h"
#include "serve.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    /* How often those are looked for that have gone and wait for nothing. */
    LOOK_US = 500000,
    /* Somebody cannot be served just now, which passes soon. */
    SOON_US = 50,
    /* For the first client to come, and for the next one. */
    PATIENCE_US = 30000000,
    LINGER_US = 5000000,
};

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
        else if (serve_is_late(view) || (pager->views.resumed && ahead_has_more(view)))
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
        ahead_release(pager->views.views[slot]);
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

        if (view && !events_wait(view) && !serve_is_late(view) && ahead_is_complete(view))
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

        if (!view || !ahead_has_more(view) || sys_now() < view->retry_at)
            continue;
        if (ahead_step(views, view) == -ESRCH)
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
    hold_renew(&pager->hold, &pager->views);
    if (of_restorer[0].revents || of_restorer[1].revents || restorer_is_late(&pager->restorer))
        restorer_step(&pager->restorer, &pager->views);
    server_step(server, polls, orders_obey, pager);
    serve_one_ahead(pager);
    finish_views(pager);
    look_for_gone(pager);
    hold_renew(&pager->hold, &pager->views); /* before anyone hears that a process needs us no more */
    followers_tell(&pager->followers, &pager->views);
}

/* Also on those that nobody has made a note of yet. */
static void hang_up(struct server *server)
{
    int fd = 0;

    for (size_t i = 0; i < SERVER_CLIENTS; i++)
        server->clients[i] = (struct lines){.fd = -1};
    while ((fd = restorer_accepted(server->listener, fd)) >= 0)
        close(fd);
}

static void begin(struct pager *pager)
{
    struct rlimit limit;

    pager->alone_since = sys_now();
    pager->views.closing = -1;
    followers_clear(&pager->followers);
    restorer_clear(&pager->restorer);
    hold_clear(&pager->hold);
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
    restorer_recover(&pager->restorer, &pager->views);
    for (size_t i = 0; i < pager->views.view_count; i++) {
        if (pager->views.views[i])
            serve_recover(pager->views.views[i]);
    }
    hold_renew(&pager->hold, &pager->views);
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
    if (!server->alone)
        hold_release(&pager.hold);
    pager.in_order = true;
    return EXIT_OK;
}

int job_pager(int argc, char **argv)
{
    return resident_start("pager", argc, argv, serve, true);
}
