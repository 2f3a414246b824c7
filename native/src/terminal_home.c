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
    OTHERS_MS = 500,
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

static bool has_moved(const struct terminal *terminal, pid_t pid)
{
    for (size_t i = 0; i < terminal->count; i++) {
        if (terminal->members[i] == pid)
            return true;
    }
    return false;
}

/* For each of the foreground group who has stayed, until `each` says true. */
static bool any_who_stays(const struct terminal *terminal, bool each(pid_t pid, int number), int number)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    bool found = false;

    while (proc && !found && (entry = readdir(proc))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        struct place place;

        if (pid > 0 && !has_moved(terminal, pid) && place_of(pid, &place) == 0 &&
            place.device == terminal->device && place.group == place.foreground)
            found = each(pid, number);
    }
    if (proc)
        closedir(proc);
    return found;
}

static bool signal_it(pid_t pid, int number)
{
    kill(pid, number);
    return false;
}

/* What was inherited has the terminal's own name. */
static bool has_opened_terminal(pid_t pid, int unused)
{
    char path[64];
    DIR *files;
    const struct dirent *entry;
    bool found = false;

    (void)unused;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    files = opendir(path);
    while (files && !found && (entry = readdir(files))) {
        char target[16] = {0};

        found = readlinkat(dirfd(files), entry->d_name, target, sizeof(target) - 1) > 0 &&
                strcmp(target, "/dev/tty") == 0;
    }
    if (files)
        closedir(files);
    return found;
}

/* Not at every key: all processes are looked at for it. */
static bool others_read(struct terminal *terminal)
{
    uint64_t now = sys_now();

    if (terminal->judged_at == 0 || now - terminal->judged_at >= OTHERS_MS * 1000) {
        terminal->judged_at = now;
        terminal->others = any_who_stays(terminal, has_opened_terminal, 0);
    }
    return terminal->others;
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
    if (terminal->modes_known)
        raw.c_oflag = terminal->modes.c_oflag;
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
    /* Who leaves the keys alone has nothing to wait for. */
    terminal->look_at = terminal->keys ? sys_now() + LOOK_MS * 1000 : 0;
}

void terminal_home_look(struct terminal *terminal)
{
    bool foreground;
    bool stopped;
    bool first = !terminal->foreground && !terminal->look_at;

    if (terminal->real < 0) {
        terminal->look_at = 0;
        return;
    }
    judge(terminal, &foreground, &stopped);
    if (foreground && (!terminal->keys || others_read(terminal))) {
        terminal->foreground = false;
        terminal->look_at = terminal->keys ? sys_now() + OTHERS_MS * 1000 : 0;
        tell_foreground(terminal, true);
        return;
    }
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

void terminal_continued(struct terminal *terminal)
{
    terminal->sightings = SIGHTINGS;
    terminal_home_look(terminal);
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
    if (terminal->foreground)
        set_raw(terminal);
}

/*
 * What the destination's terminal has done to output is not to be done again. That is one thing only: a
 * return before each newline. The rest does nothing to what it has been done to already.
 */
bool terminal_home_adds_returns(const struct terminal *terminal)
{
    const tcflag_t both = OPOST | ONLCR;
    struct termios here;

    return terminal->modes_known && (terminal->modes.c_oflag & both) == both && terminal->real >= 0 &&
           tcgetattr(terminal->real, &here) == 0 && (here.c_oflag & both) == both;
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

/*
 * Those of the job who have stayed are signalled from here, the others there by their own terminal.
 *
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
        any_who_stays(terminal, signal_it, number);
    }
}

