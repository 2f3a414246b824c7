/* What both sides of a terminal do: bytes between it and the wire. */
#include "terminal.h"
#include "sys.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int join(struct terminal *terminal, int real, bool home)
{
    struct stat info;
    int ends[2];
    int error = fstat(real, &info) < 0 ? -errno : wire_pair(ends);

    if (error < 0) {
        close(real);
        return error;
    }
    *terminal = (struct terminal){.home = home, .real = real, .far = ends[1], .device = info.st_rdev};
    terminal->frames.wire = ends[0];
    return 0;
}

int terminal_take(struct terminal *terminal, const char *path, bool keys)
{
    /* A description of our own, so that not to block is our affair only. */
    int real = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    int error;

    if (real < 0)
        return -errno;
    if (!isatty(real)) {
        close(real);
        return -ENOTTY;
    }
    error = join(terminal, real, true);
    if (error == 0)
        terminal->keys = keys;
    if (error == 0 && ioctl(real, TIOCGWINSZ, &terminal->size) < 0)
        error = -errno;
    return error;
}

int terminal_member(struct terminal *terminal, pid_t pid)
{
    if (terminal->count == MAX_MEMBERS_OF_TERMINAL)
        return -ENOSPC;
    terminal->members[terminal->count++] = pid;
    return 0;
}

int terminal_join(struct terminal *terminal, pid_t init, int fd)
{
    const int yes = 1;
    int pidfd = sys_pidfd_open(init);
    pid_t group = getpgid(init);
    int master;
    int error;

    if (pidfd < 0)
        return pidfd;
    master = sys_take_fd(init, fd);
    error = master < 0 ? master : 0;
    /* The init only keeps it, so the flag disturbs nobody. */
    if (error == 0 && ioctl(master, FIONBIO, &yes) < 0) {
        error = -errno;
        close(master);
    }
    if (error == 0)
        error = join(terminal, master, false);
    if (error < 0) {
        close(pidfd);
        return error;
    }
    terminal->init = pidfd;
    terminal->init_group = group;
    return 0;
}

void terminal_start(struct terminal *terminal)
{
    if (terminal->far >= 0)
        close(terminal->far);
    terminal->far = -1;
    if (terminal->home)
        terminal_home_look(terminal);
    else
        terminal_modes(terminal);
}

static void over(struct terminal *terminal)
{
    if (terminal->home) {
        terminal_release(terminal);
    } else {
        terminal_there_hang_up(terminal);
        close(terminal->init);
    }
    if (terminal->real >= 0)
        close(terminal->real);
    close(terminal->frames.wire);
    terminal->real = -1;
    terminal->frames.wire = -1;
    terminal->over = true;
}

/* How much from there on can be written as it is: all up to a return that `real` adds by itself. */
static size_t run_length(const struct frame *frame, size_t from, bool adds_returns)
{
    size_t at = from;

    while (at < frame->size && !(adds_returns && at + 1 < frame->size && frame->data[at] == '\r' &&
                                 frame->data[at + 1] == '\n'))
        at++;
    return at - from;
}

/* The rest of a data frame. A terminal that is gone swallows all. */
static void write_real(struct terminal *terminal, const struct frame *frame)
{
    bool adds_returns = terminal->home && terminal_home_adds_returns(terminal);

    while (terminal->real >= 0 && terminal->written < frame->size) {
        size_t size = run_length(frame, terminal->written, adds_returns);
        ssize_t n = size > 0 ? write(terminal->real, frame->data + terminal->written, size) : 1;

        if (n >= 0)
            terminal->written += (size_t)n;
        else if (errno == EAGAIN) {
            terminal->blocked = true;
            return;
        } else if (errno != EINTR)
            break;
    }
    terminal->written = 0;
    frames_done(&terminal->frames);
}

static void take_frames(struct terminal *terminal)
{
    struct frame frame;
    int found;

    terminal->blocked = false;
    while (!terminal->blocked && (found = frames_next(&terminal->frames, &frame)) != 0) {
        if (found < 0) {
            over(terminal);
            return;
        }
        if (frame.type == FRAME_DATA) {
            write_real(terminal, &frame);
            continue;
        }
        if (terminal->home)
            terminal_home_frame(terminal, &frame);
        else
            terminal_there_frame(terminal, &frame);
        frames_done(&terminal->frames);
    }
}

static bool reads(const struct terminal *terminal)
{
    if (!frames_room(&terminal->frames))
        return false;
    return !terminal->home || (terminal->foreground && sys_left_ms(terminal->hold_until) == 0);
}

void terminal_poll(const struct terminal *terminal, struct pollfd polls[TERMINAL_POLLS])
{
    short events = (short)((reads(terminal) ? POLLIN : 0) | (terminal->blocked ? POLLOUT : 0));

    /* A terminal that was hung up is always ready, whatever is asked for. */
    polls[0] = (struct pollfd){.fd = events || terminal->home ? terminal->real : -1, .events = events};
    polls[1] = (struct pollfd){
        .fd = terminal->frames.wire,
        .events = frames_events(&terminal->frames, !terminal->blocked),
    };
}

int terminal_timeout(const struct terminal *terminal)
{
    uint64_t next = UINT64_MAX;

    if (terminal->over || !terminal->home)
        return -1;
    if (terminal->look_at)
        next = terminal->look_at;
    if (terminal->foreground && sys_left_ms(terminal->hold_until) > 0 && terminal->hold_until < next)
        next = terminal->hold_until;
    return next == UINT64_MAX ? -1 : sys_left_ms(next);
}

void terminal_step(struct terminal *terminal, const struct pollfd polls[TERMINAL_POLLS])
{
    if (terminal->over)
        return;
    if (terminal->home && terminal->look_at && sys_left_ms(terminal->look_at) == 0)
        terminal_home_look(terminal);
    if (polls[0].revents || polls[1].revents)
        take_frames(terminal);
    if (!terminal->over && terminal->home && polls[0].revents & (POLLHUP | POLLERR)) {
        close(terminal->real);
        terminal->real = -1;
        frames_end(&terminal->frames);
    }
    if (!terminal->over && terminal->real >= 0 && polls[0].revents & (POLLIN | POLLHUP | POLLERR)) {
        if (terminal->home)
            terminal_home_read(terminal);
        else
            terminal_there_read(terminal);
    }
    if (!terminal->over && frames_flush(&terminal->frames) < 0)
        over(terminal);
}

int terminal_pending(const struct terminal *terminal)
{
    int bytes = 0;

    if (terminal->over)
        return 0;
    if (terminal->real >= 0 && ioctl(terminal->real, FIONREAD, &bytes) < 0)
        bytes = 0;
    return bytes + (int)terminal->frames.out_used;
}
