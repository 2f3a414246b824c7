/*
 * Job `track`: what the agent needs inside of running processes to find out which pages they write. It gets
 * userfaultfds for them, of which their tables of descriptors and their other threads see nothing; and has them stand
 * for a moment, so that their soft-dirty bits are read and cleared in one step.
 *
 * Lines on stdin, one answer each on stdout:
 *   open PID    opened PID FD MICROS | error PID TEXT   FD: a number among our own descriptors, to be taken from
 *                                                       there; MICROS: how long a thread of the process stood
 *   close FD    closed FD | error FD TEXT
 *   try         works | error 0 TEXT                    whether this kernel has soft-dirty bits
 *   stand PID   stands PID | busy PID | error PID TEXT  busy: a thread did not stop; all run. One process at a time
 *   go PID      went PID MICROS | error PID TEXT        error: it has gone on before. MICROS: how long it stood
 * The end of stdin ends it.
 *
 * A userfaultfd is for the memory of the process that makes it. So one thread is led (detour.h) to make a child
 * that shares the memory and nothing else; the child opens the userfaultfd as its only descriptor and waits; we take a
 * duplicate and kill the child, and the thread reaps it and is put back. Whenever we are killed, the child
 * ends and the thread goes back by themselves, after half a second or two at the most; and the descriptor
 * has never been the process's.
 *
 * The thread is one whose wait is not harmed by the interruption, if there is any (call_rank()); at worst it
 * sees what it would after a SIGSTOP and a SIGCONT.
 *
 * A seccomp filter may kill the process for any of these calls; so a process with one is left alone.
 */
#include "detour.h"
#include "lines.h"
#include "proc.h"
#include "softdirty.h"
#include "stand.h"
#include "stub.h"
#include "sys.h"
#include "trace.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RUN_TIMEOUT_MS = 1000,
    LEAVE_TIMEOUT_MS = 3000,
    LOOKS = 20,
    MAX_OPEN = 1024,
};

/* One open. */
struct track {
    pid_t pid;
    pid_t thread;
    uint64_t base;
    pid_t child; /* as we count; 0: not known */
    int pidfd;   /* of the child, or -1 */
    int fd;      /* what is wanted, or -1 */
};

static int open_fds[MAX_OPEN];
static size_t open_count;

/* The thread that is harmed least, and its rank; negative if there is none that could be led away. */
static int pick_thread(struct track *track)
{
    struct pids threads = {0};
    int best = INT_MAX;
    int error = proc_threads(track->pid, &threads);

    for (size_t i = 0; error == 0 && i < threads.count && best > CALL_RUNS; i++) {
        struct proc_status status;
        struct proc_call call;

        if (proc_status(track->pid, threads.list[i], &status) < 0 || !strchr("RST", status.state) ||
            proc_call(track->pid, threads.list[i], &call) < 0 || call_rank(&call) >= best)
            continue;
        best = call_rank(&call);
        track->thread = threads.list[i];
    }
    pids_free(&threads);
    if (error < 0)
        return error;
    return best == INT_MAX ? -EAGAIN : best;
}

/* Waits a moment for a thread that is not harmed at all. */
static int choose_thread(struct track *track)
{
    int rank = pick_thread(track);

    for (int look = 1; (rank >= CALL_HARMED || rank == -EAGAIN) && look < LOOKS; look++) {
        sys_sleep_ms(1);
        rank = pick_thread(track);
    }
    return rank < 0 ? rank : 0;
}

/* Whether a thread is in what a killed predecessor has left. One that does not sleep is stopped to find out. */
static bool is_inside(pid_t pid, pid_t tid, uint64_t base)
{
    struct user_regs_struct regs;
    struct proc_call call;
    long child;
    bool inside = false;

    if (proc_call(pid, tid, &call) < 0)
        return false;
    if (call.blocked)
        return track_is_inside(base, &call);
    if (trace_stand(tid, 0) == 0 && trace_get_regs(tid, &regs) == 0)
        inside = track_place(base, &regs, &child) != TRACK_OUTSIDE;
    return trace_let_go(tid, 0) == 0 && inside;
}

static int await_leaving(pid_t pid, uint64_t base)
{
    uint64_t deadline = sys_now() + (uint64_t)LEAVE_TIMEOUT_MS * 1000;
    struct pids threads = {0};
    int error = proc_threads(pid, &threads);

    for (size_t i = 0; error == 0 && i < threads.count;) {
        if (!is_inside(pid, threads.list[i], base))
            i++;
        else if (sys_left_ms(deadline) == 0)
            error = -ETIMEDOUT;
        else
            sys_sleep_ms(5);
    }
    pids_free(&threads);
    return error;
}

static int find_room(struct track *track)
{
    bool used;
    int error = proc_padding(track->pid, TRACK_SIZE, INJECT_SIZE, TRACK_MAGIC, &track->base, &used);

    return error < 0 || !used ? error : await_leaving(track->pid, track->base);
}

/* A thread stands now. Before, its process may have executed another program, whose code is not to be touched. */
static int check_room(const struct track *track)
{
    uint64_t base;
    bool used;
    int error = proc_padding(track->pid, TRACK_SIZE, INJECT_SIZE, TRACK_MAGIC, &base, &used);

    if (error < 0)
        return error;
    return base == track->base ? 0 : -EAGAIN;
}

/* With one call, or with many that take longer. The magic number stands whenever anything else does. */
static int write_stub(const struct track *track, const struct track_stub *stub)
{
    const size_t magic = sizeof(uint64_t);
    int error;

    if (proc_write(track->pid, track->base, stub->bytes, TRACK_SIZE) == 0)
        return 0;
    error = trace_poke(track->thread, track->base, stub->bytes, magic);
    if (error < 0)
        return error;
    return trace_poke(track->thread, track->base + magic, stub->bytes + magic, TRACK_SIZE - magic);
}

static int wipe_stub(const struct track *track)
{
    static const uint8_t zeros[TRACK_SIZE];
    const size_t magic = sizeof(uint64_t);
    int error;

    if (proc_write(track->pid, track->base, zeros, TRACK_SIZE) == 0)
        return 0;
    error = trace_poke(track->thread, track->base + magic, zeros, TRACK_SIZE - magic);
    return error < 0 ? error : trace_poke(track->thread, track->base, zeros, magic);
}

/* The child of this number in the thread's PID namespace, as we count. 0: not found. */
static pid_t outer_pid(const struct track *track, long inner)
{
    struct pids children = {0};
    struct proc_status status;
    pid_t found = 0;

    if (proc_status(track->pid, track->thread, &status) == 0 && status.inner == track->thread)
        return (pid_t)inner;
    if (proc_children(track->pid, &children) < 0)
        return 0;
    for (size_t i = 0; i < children.count && !found; i++) {
        if (proc_status(children.list[i], children.list[i], &status) == 0 && status.inner == inner)
            found = children.list[i];
    }
    pids_free(&children);
    return found;
}

/* What is done to the child goes by its pidfd: should it end early, its number may be another's. */
static int meet_child(struct track *track, long inner)
{
    pid_t child = outer_pid(track, inner);

    if (child <= 0)
        return -ESRCH;
    track->pidfd = sys_pidfd_open(child);
    if (track->pidfd < 0)
        return track->pidfd;
    track->child = child;
    /* The thread stands for as long as this takes. Not the thread itself: it would stay so if we were killed. */
    sys_hurry(child);
    return 0;
}

static bool is_userfaultfd(int fd)
{
    char path[64];
    char link[64] = "";
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    n = readlink(path, link, sizeof(link) - 1);
    return n > 0 && strcmp(link, "anon_inode:[userfaultfd]") == 0;
}

/* 1: the child has not come so far. */
static int take_from(struct track *track)
{
    struct proc_call call;
    long fd;
    int error = proc_call(track->child, track->child, &call);

    if (error < 0)
        return error;
    if (!track_offers(track->base, &call, &fd))
        return 1;
    if (fd < 0)
        return (int)fd;
    track->fd = sys_take_fd(track->child, (int)fd);
    if (track->fd >= 0 && !is_userfaultfd(track->fd)) {
        close(track->fd);
        track->fd = -EIO;
    }
    return track->fd < 0 ? track->fd : 0;
}

/* While the thread runs: until the child's descriptor is ours, or there is a reason why not. */
static int await_offer(struct track *track)
{
    uint64_t deadline = sys_now() + (uint64_t)RUN_TIMEOUT_MS * 1000;
    unsigned int pause = 10;

    for (;;) {
        struct proc_call call;
        long inner = 0;
        int result = 0;

        usleep(pause);
        if (!track->child)
            result = proc_call(track->pid, track->thread, &call);
        if (result == 0 && !track->child && track_waits(track->base, &call, &inner)) {
            if (inner == 0)
                return -ECHILD;
            result = meet_child(track, inner);
        }
        if (result == 0)
            result = track->child ? take_from(track) : 1;
        if (result < 1)
            return result;
        if (sys_left_ms(deadline) == 0)
            return -ETIMEDOUT;
        pause = pause < 1000 ? pause + 5 : pause;
    }
}

static void end_child(const struct track *track)
{
    if (track->pidfd >= 0 && sys_pidfd_signal(track->pidfd, SIGKILL) < 0)
        return; /* Its time was over. */
}

/*
 * Stops the thread where it can be put back. `why`: of TRACK_FAILED. 1: it is to be given signal `number` first, one
 * that no mask holds back.
 */
static int meet(struct track *track, enum track_place *place, long *why, int *number)
{
    uint64_t deadline = sys_now() + (uint64_t)LEAVE_TIMEOUT_MS * 1000;
    unsigned int pause = 10;

    for (;;) {
        struct user_regs_struct regs;
        int result = trace_interrupt(track->thread);

        while (result == 0 && (result = trace_await(track->thread, number)) == 1 && *number == SIGSTOP)
            result = trace_continue(track->thread, SIGSTOP);
        if (result < 0)
            return result;
        if (trace_get_regs(track->thread, &regs) < 0)
            return -ESRCH;
        *place = track_place(track->base, &regs, why);
        /* Before a child was made there is nothing that it must do first. */
        if (result == 1 || *place != TRACK_WAITS)
            return result;
        if (sys_left_ms(deadline) == 0)
            return -ETIMEDOUT;
        if (!track->child && meet_child(track, *why) == 0)
            end_child(track);
        result = trace_continue(track->thread, 0);
        if (result < 0)
            return result;
        usleep(pause);
        pause *= 2;
    }
}

static int aim(const struct track *track, const struct detour *detour)
{
    struct user_regs_struct regs = detour->regs;
    struct track_stub stub;
    int error;

    track_build(&stub, track->base, detour->mask, &detour->regs);
    error = write_stub(track, &stub);
    if (error < 0)
        return error;
    track_enter(track->base, &regs);
    error = trace_set_regs(track->thread, &regs);
    return error < 0 ? error : trace_set_mask(track->thread, TRACE_ALL_BLOCKED);
}

/* With the thread in its stop. `number`: the signal that it is to be let go with. */
static int open_standing(struct track *track, int *number)
{
    struct detour detour;
    enum track_place place = TRACK_BEFORE;
    long why = 0;
    int given = 0;
    int met;
    int error = detour_begin(track->thread, &detour);

    if (error < 0)
        return error;
    error = aim(track, &detour);
    if (error == 0)
        error = trace_continue(track->thread, 0);
    if (error < 0)
        return error;
    error = await_offer(track);
    end_child(track);
    met = meet(track, &place, &why, &given);
    if (met == 1)
        *number = given;
    if (met != 0)
        return met < 0 ? met : -EFAULT;
    if (place == TRACK_FAILED)
        error = (int)why;
    if (place == TRACK_BEFORE)
        error = -ETIMEDOUT; /* It does not run: frozen. */
    /* TRACK_OUTSIDE: slower than the stub's patience, it has put itself back. */
    if (place != TRACK_OUTSIDE)
        met = detour_put_back(track->thread, &detour);
    if (met == 0)
        met = wipe_stub(track);
    return met < 0 ? met : error;
}

/* Why not to try at all; NULL: nothing is against it. */
static const char *objection(pid_t pid)
{
    struct proc_status status;

    if (proc_status(pid, pid, &status) < 0)
        return strerror(ESRCH);
    return status.filtered ? "it has a seccomp filter" : NULL;
}

static int open_in(struct track *track, uint64_t *micros)
{
    uint64_t start;
    int number = 0;
    int error = find_room(track);

    if (error == 0)
        error = choose_thread(track);
    if (error < 0)
        return error;
    start = sys_now();
    error = trace_stand(track->thread, 0);
    if (error == 0)
        error = check_room(track);
    if (error == 0)
        error = open_standing(track, &number);
    if (trace_let_go(track->thread, number) < 0 && error == 0)
        error = -ESRCH;
    if (track->pidfd >= 0)
        close(track->pidfd);
    *micros = sys_now() - start;
    if (error == 0 && track->fd < 0)
        error = -EIO;
    return error;
}

static void do_open(const char *text)
{
    struct track track = {.pidfd = -1, .fd = -1};
    const char *against;
    uint64_t micros = 0;
    long pid;
    int error;

    if (sys_parse_number(text, 1, INT_MAX, &pid) < 0) {
        line_say(1, "error 0 open takes a PID");
        return;
    }
    track.pid = (pid_t)pid;
    against = objection(track.pid);
    if (against) {
        line_say(1, "error %ld %s", pid, against);
        return;
    }
    error = open_count < MAX_OPEN ? open_in(&track, &micros) : -EMFILE;
    if (error < 0) {
        if (track.fd >= 0)
            close(track.fd);
        line_say(1, "error %ld %s", pid, strerror(-error));
        return;
    }
    open_fds[open_count++] = track.fd;
    line_say(1, "opened %ld %d %llu", pid, track.fd, (unsigned long long)micros);
}

static void do_close(const char *text)
{
    long fd;

    if (sys_parse_number(text, 0, INT_MAX, &fd) < 0) {
        line_say(1, "error 0 close takes a descriptor");
        return;
    }
    for (size_t i = 0; i < open_count; i++) {
        if (open_fds[i] != fd)
            continue;
        close((int)fd);
        open_fds[i] = open_fds[--open_count];
        line_say(1, "closed %ld", fd);
        return;
    }
    line_say(1, "error %ld %s", fd, strerror(EBADF));
}

static void do_try(void)
{
    int error = softdirty_try();

    if (error == 0)
        line_say(1, "works");
    else if (error == -ENOSYS)
        line_say(1, "error 0 this kernel has no soft-dirty bits");
    else
        line_say(1, "error 0 soft-dirty bits: %s", strerror(-error));
}

static struct stand standing;
static pid_t standing_pid;

static void do_stand(const char *text)
{
    long pid;
    int error;

    if (sys_parse_number(text, 1, INT_MAX, &pid) < 0) {
        line_say(1, "error 0 stand takes a PID");
        return;
    }
    error = standing.holder ? -EBUSY : stand_begin(&standing, (pid_t)pid);
    if (error == 0)
        standing_pid = (pid_t)pid;
    if (error == 0)
        line_say(1, "stands %ld", pid);
    else if (error == -ETIMEDOUT)
        line_say(1, "busy %ld", pid);
    else
        line_say(1, "error %ld %s", pid, strerror(-error));
}

static void do_go(const char *text)
{
    long pid;
    int error;

    if (sys_parse_number(text, 1, INT_MAX, &pid) < 0 || !standing.holder || pid != standing_pid) {
        line_say(1, "error 0 go takes the PID of what stands");
        return;
    }
    error = stand_end(&standing);
    if (error == 0)
        line_say(1, "went %ld %llu", pid, (unsigned long long)(sys_now() - standing.since));
    else
        line_say(1, "error %ld %s", pid, strerror(-error));
}

int job_track(int argc, char **argv)
{
    struct lines in = {.fd = 0};
    char line[LINE_SIZE];
    int error;

    if (argc > 1)
        return usage_error("track: what is '%s'?", argv[1]);
    signal(SIGPIPE, SIG_IGN);
    /* A thread stands for a few microseconds; the default would round our pauses up to sixty. */
    prctl(PR_SET_TIMERSLACK, 1);
    sys_hurry(0);
    do {
        error = lines_fill(&in);
        if (error == -E2BIG)
            line_say(1, "error 0 line too long");
        while (lines_next(&in, line)) {
            if (strncmp(line, "open ", 5) == 0)
                do_open(line + 5);
            else if (strncmp(line, "close ", 6) == 0)
                do_close(line + 6);
            else if (strcmp(line, "try") == 0)
                do_try();
            else if (strncmp(line, "stand ", 6) == 0)
                do_stand(line + 6);
            else if (strncmp(line, "go ", 3) == 0)
                do_go(line + 3);
            else
                line_say(1, "error 0 unknown command");
        }
    } while (error != -EPIPE);
    return EXIT_OK;
}
