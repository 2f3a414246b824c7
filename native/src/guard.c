/* The guard's worker: the commands of the agent, one line each, and one line as the answer. */
#include "guard.h"
#include "clocks.h"
#include "criu.h"
#include "settle.h"
#include "sys.h"
#include "veil.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int guard_thaw(const struct guard *guard)
{
    int cgroup = cgroup_open(guard->path);
    int error;

    /* No cgroup, nothing frozen: an earlier thaw got this far, or the agent has cleaned up. */
    if (cgroup < 0)
        return cgroup == -ENOENT ? 0 : cgroup;
    /* Not settled it runs, too: a handler that has waited may find a wait that goes on. */
    error = settle_cgroup(cgroup);
    if (error < 0)
        fprintf(stderr, "not settled: %s\n", strerror(-error));
    error = cgroup_set_frozen(cgroup, false, FREEZE_TIMEOUT_MS);
    if (error == 0 && !guard->cell) {
        int left = cgroup_empty(cgroup, guard->backs, guard->back_count);

        if (left == 0)
            left = cgroup_remove(guard->path);
        if (left < 0)
            fprintf(stderr, "thawed, but %s stays: %s\n", guard->path, strerror(-left));
    }
    close(cgroup);
    return error;
}

static void do_freeze(const struct guard *guard)
{
    uint64_t start = sys_now();
    int cgroup = cgroup_open(guard->path);
    int error = cgroup < 0 ? cgroup : cgroup_set_frozen(cgroup, true, FREEZE_TIMEOUT_MS);

    if (error < 0 && cgroup >= 0 && cgroup_set_frozen(cgroup, false, FREEZE_TIMEOUT_MS) < 0)
        line_say(1, "error cannot freeze %s: %s; and it did not thaw again", guard->path, strerror(-error));
    else if (error < 0)
        line_say(1, "error cannot freeze %s: %s", guard->path, strerror(-error));
    else if (guard->apart && (error = settle_interrupts(cgroup)) < 0)
        line_say(1, "error cannot look after interrupted waits in %s: %s", guard->path, strerror(-error));
    else
        line_say(1, "frozen %llu", (unsigned long long)(sys_now() - start));
    if (cgroup >= 0)
        close(cgroup);
}

/* Reads stdin while a dump runs. True if the dump is to end. */
static bool cancelled(struct guard *guard)
{
    char line[LINE_SIZE];
    bool cancel = false;

    if (lines_fill(&guard->in) == -EPIPE)
        guard->alone = true;
    while (lines_next(&guard->in, line)) {
        if (strcmp(line, "cancel") == 0)
            cancel = true;
        else
            line_say(1, "error a dump runs, it takes only 'cancel'");
    }
    return cancel || guard->alone;
}

/*
 * Waits for CRIU, told to fail as soon as the agent cancels or is gone. The target is CRIU's meanwhile, and
 * frozen again when this returns: if CRIU did not end in time and was killed, it may be anything (see
 * criu.c).
 */
static void await_criu(struct guard *guard, pid_t criu, int pidfd)
{
    uint64_t deadline = 0;

    for (;;) {
        struct pollfd events[] = {
            {.fd = pidfd, .events = POLLIN},
            {.fd = guard->alone ? -1 : guard->in.fd, .events = POLLIN},
            {.fd = guard->alone ? -1 : guard->keeper, .events = POLLIN},
        };
        bool end = false;

        if (poll(events, 3, deadline ? sys_left_ms(deadline) : -1) < 0 && errno != EINTR)
            return;
        if (events[0].revents)
            return;
        if (events[2].revents)
            end = guard->alone = true;
        if (events[1].revents && cancelled(guard))
            end = true;
        if (end && !deadline) {
            deadline = sys_now() + (uint64_t)CRIU_END_TIMEOUT_MS * 1000;
            if (criu_make_fail(criu) < 0)
                fprintf(stderr, "criu %d cannot be made to fail\n", criu);
        }
        /* It writes nothing and does not end: a frozen service is no better than the risk in killing CRIU. */
        if (deadline && sys_left_ms(deadline) == 0)
            kill(criu, SIGKILL);
    }
}

static bool still_frozen(const struct guard *guard)
{
    int cgroup = cgroup_open(guard->path);
    char asked[8];
    bool frozen = false;

    if (cgroup < 0)
        return false;
    /* CRIU asks for the freeze again before it lets go, so it must be asked for by now; it may not yet be
     * complete. */
    if (sys_read_at(cgroup, "cgroup.freeze", asked, sizeof(asked)) > 0 && asked[0] == '1')
        frozen = cgroup_set_frozen(cgroup, true, FREEZE_TIMEOUT_MS) == 0;
    close(cgroup);
    return frozen;
}

/*
 * CRIU takes a time namespace other than its own along, and would make it anew within the cell's, counting it
 * twice. The cell's has the process's clocks already.
 */
static int share_clocks(const struct guard *guard)
{
    int cgroup = cgroup_open(guard->path);
    pid_t pid = cgroup < 0 ? cgroup : cgroup_first(cgroup);

    if (cgroup >= 0)
        close(cgroup);
    return pid > 0 ? clocks_join(pid) : pid;
}

static pid_t spawn_criu(const struct guard *guard)
{
    pid_t criu;

    veil_put_on(guard->veil);
    if (guard->cell)
        criu = criu_spawn_in(guard->cell, guard->criu);
    else
        criu = criu_spawn(guard->criu, guard->apart ? CRIU_APART : 0, -1);
    veil_take_off();
    return criu;
}

static void do_dump(struct guard *guard)
{
    int clocks = share_clocks(guard);
    pid_t criu = clocks < 0 ? clocks : spawn_criu(guard);
    char how[32];
    int pidfd;
    int status;

    if (criu < 0) {
        line_say(1, "error cannot start criu: %s", strerror(-criu));
        return;
    }
    pidfd = sys_pidfd_open(criu);
    if (pidfd >= 0) {
        await_criu(guard, criu, pidfd);
        close(pidfd);
    }
    while (waitpid(criu, &status, 0) < 0) {
        if (errno != EINTR) {
            line_say(1, "error cannot wait for criu: %s", strerror(errno));
            return;
        }
    }
    criu_describe(status, how, sizeof(how));
    if (status != 0)
        line_say(1, "dump-failed %s", how);
    else if (!still_frozen(guard))
        /* The image is whole, but the process may have run on since: restored, it would live twice. */
        line_say(1, "dump-failed not-frozen");
    else
        line_say(1, "dumped 0");
}

/* -1: go on; otherwise the exit code. */
static int obey(struct guard *guard, const char *command)
{
    int error;

    if (strcmp(command, "freeze") == 0) {
        do_freeze(guard);
    } else if (strcmp(command, "dump") == 0) {
        do_dump(guard);
    } else if (strcmp(command, "hold") == 0) {
        *guard->held = true;
        line_say(1, "held");
    } else if (strcmp(command, "thaw") == 0) {
        error = guard_thaw(guard);
        if (error == 0) {
            line_say(1, "thawed");
            return EXIT_OK;
        }
        line_say(1, "error cannot thaw %s: %s", guard->path, strerror(-error));
    } else if (strcmp(command, "cancel") != 0) {
        /* A cancel that crosses with the end of its dump is no error; the answer to the dump says what became
         * of it. */
        line_say(1, "error unknown command");
    }
    return -1;
}

static void await_command(struct guard *guard)
{
    struct pollfd events[] = {
        {.fd = guard->in.fd, .events = POLLIN},
        {.fd = guard->keeper, .events = POLLIN},
    };

    if (poll(events, 2, -1) < 0)
        return;
    if (events[0].revents) {
        int error = lines_fill(&guard->in);

        if (error == -EPIPE)
            guard->alone = true;
        else if (error == -E2BIG)
            line_say(1, "error line too long");
    }
    if (events[1].revents)
        guard->alone = true;
}

int guard_work(struct guard *guard)
{
    char line[LINE_SIZE];

    for (;;) {
        /* Commands that came before the end still count: "hold" and then a death is a hold. */
        while (lines_next(&guard->in, line)) {
            int code = obey(guard, line);

            if (code >= 0)
                return code;
        }
        if (guard->alone)
            break;
        await_command(guard);
    }
    if (*guard->held)
        return EXIT_OK;
    return guard_thaw(guard) < 0 ? EXIT_FAILED : EXIT_OK;
}
