/* Home's side of a terminal: see terminal.h. */
#include "sys.h"
#include "terminal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_MS = 100,
    HOLD_MS = 300,
    SIGHTINGS = 2, /* a shell that has just been given the terminal may not have taken it yet */
};

struct place {
    char state;
    pid_t group;
    dev_t device;
    pid_t foreground; /* of that device */
};

static int place_of(pid_t pid, struct place *place)
{
    char path[64];
    char text[1024];
    const char *rest;
    int device;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (sys_read_at(AT_FDCWD, path, text, sizeof(text)) < 0)
        return -ESRCH;
    rest = strrchr(text, ')');
    /* state, parent, group, session, terminal, its foreground group */
    if (!rest || sscanf(rest + 1, " %c %*d %d %*d %d %d", &place->state, &place->group, &device,
                        &place->foreground) != 4)
        return -ESRCH;
    place->device = (dev_t)(unsigned int)device;
    return 0;
}

/* How the job stands, by those of it who live in the terminal's session. */
static void judge(const struct terminal *terminal, bool *foreground, bool *stopped)
{
    *foreground = false;
    *stopped = false;
    for (size_t i = 0; i < terminal->count; i++) {
        struct place place;

        if (place_of(terminal->members[i], &place) < 0 || place.state == 'Z' ||
            place.device != terminal->device)
            continue;
        if (strchr("Tt", place.state))
            *stopped = true;
        else
            *foreground |= place.group == place.foreground;
    }
}

static void tell_foreground(struct terminal *terminal, bool is)
{
    const unsigned char byte = is;

    if (terminal->background_told == !is)
        return;
    terminal->background_told = !is;
    frames_put(&terminal->frames, FRAME_FOREGROUND, &byte, 1);
}

void terminal_resized(struct terminal *terminal)
{
    struct winsize now;

    if (terminal->real < 0 || ioctl(terminal->real, TIOCGWINSZ, &now) < 0 ||
        memcmp(&now, &terminal->size, sizeof(now)) == 0)
        return;
    terminal->size = now;
    frames_put(&terminal->frames, FRAME_SIZE, &now, sizeof(now));
}

static void set_raw(const struct terminal *terminal)
{
    struct termios raw;

    if (tcgetattr(terminal->real, &raw) < 0)
        return;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXOFF |
                               IXANY | IUCLC | IMAXBEL);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_lflag &= ~(tcflag_t)(ISIG | ICANON | ECHO | ECHONL | IEXTEN);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    /* Fails where it is hung up, which is noticed where it is read. */
    if (tcsetattr(terminal->real, TCSANOW, &raw) < 0)
        return;
}

static void enter(struct terminal *terminal)
{
    terminal->foreground = true;
    terminal->look_at = 0;
    terminal->hold_until = 0;
    set_raw(terminal);
    terminal_resized(terminal);
    tell_foreground(terminal, true);
}

static void leave(struct terminal *terminal)
{
    terminal->foreground = false;
    terminal->sightings = 0;
    terminal->look_at = sys_now() + LOOK_MS * 1000;
}

void terminal_home_look(struct terminal *terminal)
{
    bool foreground;
    bool stopped;
    bool first = !terminal->foreground && !terminal->look_at;

    if (terminal->real < 0)
        return;
    judge(terminal, &foreground, &stopped);
    if (foreground == terminal->foreground && foreground)
        return;
    if (foreground) {
        if (first || ++terminal->sightings >= SIGHTINGS)
            enter(terminal);
        else
            terminal->look_at = sys_now() + LOOK_MS * 1000;
        return;
    }
    leave(terminal);
    /* A stopped one counts as in the foreground, so that it may read as soon as it is continued there. */
    tell_foreground(terminal, stopped);
}

void terminal_release(struct terminal *terminal)
{
    bool failed = terminal->foreground && terminal->modes_known &&
                  tcsetattr(terminal->real, TCSANOW, &terminal->modes) < 0;

    if (failed)
        terminal->modes_known = false;
    leave(terminal);
    tell_foreground(terminal, true);
}

void terminal_home_frame(struct terminal *terminal, const struct frame *frame)
{
    if (frame->type != FRAME_MODES || frame->size != sizeof(terminal->modes))
        return;
    memcpy(&terminal->modes, frame->data, sizeof(terminal->modes));
    terminal->modes_known = true;
}

/* The signal that a key stands for, or 0. */
static int signal_of(const struct terminal *terminal, unsigned char key)
{
    const struct termios *modes = &terminal->modes;

    if (!terminal->modes_known || !(modes->c_lflag & ISIG) || key == _POSIX_VDISABLE)
        return 0;
    if (key == modes->c_cc[VINTR])
        return SIGINT;
    if (key == modes->c_cc[VQUIT])
        return SIGQUIT;
    return key == modes->c_cc[VSUSP] ? SIGTSTP : 0;
}

static bool has_moved(const struct terminal *terminal, pid_t pid)
{
    for (size_t i = 0; i < terminal->count; i++) {
        if (terminal->members[i] == pid)
            return true;
    }
    return false;
}

/* Those of the foreground group who have stayed are signalled here, the others there by their own terminal. */
static void signal_those_who_stay(const struct terminal *terminal, int number)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;

    while (proc && (entry = readdir(proc))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        struct place place;

        if (pid > 0 && !has_moved(terminal, pid) && place_of(pid, &place) == 0 &&
            place.device == terminal->device && place.group == place.foreground)
            kill(pid, number);
    }
    if (proc)
        closedir(proc);
}

/*
 * Key by key: what follows one that stops or ends the job may be meant for the shell, so it is left where it
 * is until that is clear.
 */
void terminal_home_read(struct terminal *terminal)
{
    unsigned char data[FRAME_MAX];
    size_t size = 0;
    int number = 0;
    ssize_t n = 1;

    if (terminal->foreground) {
        terminal_home_look(terminal);
        while (terminal->foreground && number == 0 && size < sizeof(data)) {
            n = read(terminal->real, data + size, 1);
            if (n != 1)
                break;
            number = signal_of(terminal, data[size++]);
        }
    }
    if (size > 0)
        frames_put(&terminal->frames, FRAME_DATA, data, size);
    if (number) {
        terminal->hold_until = sys_now() + HOLD_MS * 1000;
        signal_those_who_stay(terminal, number);
    }
}

