/* The destination's side of a terminal: the master of the process's pseudo terminal. */
#include "cell.h"
#include "sys.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { PLACE_MS = 50 };

void terminal_modes(struct terminal *terminal)
{
    struct termios now;

    if (terminal->real < 0 || tcgetattr(terminal->real, &now) < 0)
        return;
    if (terminal->modes_known && memcmp(&now, &terminal->modes, sizeof(now)) == 0)
        return;
    terminal->modes = now;
    terminal->modes_known = true;
    frames_put(&terminal->frames, FRAME_MODES, &now, sizeof(now));
    /* A wire that is broken is noticed by who waits for it. */
    if (frames_flush(&terminal->frames) < 0)
        return;
}

static void tell_place(const struct terminal *terminal, bool foreground)
{
    /* ESRCH: the cell is at its end, and nobody is left who could be in the foreground. */
    if (sys_pidfd_signal(terminal->init, foreground ? SIGNAL_FOREGROUND : SIGNAL_BACKGROUND) < 0)
        return;
}

void terminal_there_frame(struct terminal *terminal, const struct frame *frame)
{
    struct winsize size;

    if (frame->type == FRAME_SIZE && frame->size == sizeof(size)) {
        memcpy(&size, frame->data, sizeof(size));
        /* The kernel tells the foreground group where it has changed. It fails only where nobody is left. */
        if (ioctl(terminal->real, TIOCSWINSZ, &size) < 0)
            return;
    } else if (frame->type == FRAME_FOREGROUND && frame->size == 1) {
        tell_place(terminal, frame->data[0] != 0);
    }
}

void terminal_there_place(const struct terminal *terminal, bool foreground)
{
    tell_place(terminal, foreground);
    for (int i = 0; i < PLACE_MS; i++) {
        pid_t group;

        if (ioctl(terminal->real, TIOCGPGRP, &group) < 0 || (group != terminal->init_group) == foreground)
            return;
        sys_sleep_ms(1);
    }
}

/* The cell's init keeps the master, so that our death hangs nobody up: to close ours would not. */
void terminal_there_hang_up(const struct terminal *terminal)
{
    int slave = terminal->real < 0 ? -1 : ioctl(terminal->real, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (slave < 0)
        return;
    /* Fails only where somebody has done so already. */
    if (ioctl(slave, TIOCVHANGUP) < 0)
        errno = 0;
    close(slave);
}

/* EIO: the cell is empty, its terminal has no slave any more. What was written before has been read by then. */
void terminal_there_read(struct terminal *terminal)
{
    unsigned char data[FRAME_MAX];
    ssize_t n;

    terminal_modes(terminal);
    while (terminal->real >= 0 && frames_room(&terminal->frames)) {
        n = read(terminal->real, data, sizeof(data));
        if (n > 0) {
            frames_put(&terminal->frames, FRAME_DATA, data, (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            return;
        } else if (n == 0 || errno != EINTR) {
            terminal_modes(terminal);
            close(terminal->real);
            terminal->real = -1;
            frames_end(&terminal->frames);
        }
    }
}
