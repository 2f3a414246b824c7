/*
 * A terminal of the pump. The process has a pseudo terminal at the destination, whose line discipline does
 * what it does for any process: echo, editing, signals from keys. Home's terminal is in raw mode meanwhile and
 * only passes keys and output, as with ssh; but it does so only while the job is in the foreground there:
 *
 *   foreground  keys are read, the modes are raw, but for what is done to output: those who stay write, too
 *   background  the shell has the terminal: nothing is read, its modes are left alone. Output is shown.
 *   released    told by the agent, before it lets a deputy stop or end: the modes are those that the process
 *               has set; then as in the background
 *
 * Keys are left to others where no one of those who move reads them, or where one who stays and is of the same
 * job has opened the terminal by itself, as a pager at the end of a pipe does. Then the modes are left alone, too.
 *
 * Nobody tells when a shell puts a job into the foreground again, so in the background that is looked at ten
 * times a second; while the job is stopped as well.
 */
#ifndef EXILE_TERMINAL_H
#define EXILE_TERMINAL_H

#include "frames.h"
#include "shim.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <termios.h>

enum {
    TERMINAL_POLLS = 2,
    MAX_MEMBERS_OF_TERMINAL = 1024,
};

struct terminal {
    bool home;
    int real; /* home's terminal, or the destination's master; nonblocking; -1: gone */
    int far;  /* as of a stream */
    struct frames frames;
    bool over;
    size_t written;      /* of the frame that is being written to `real` */
    bool blocked;        /* and that has no room */
    bool modes_known;    /* home: the destination has told its modes */
    struct termios modes; /* the destination's; there: as told last */
    struct winsize size; /* home: as told last */
    /* Home only. */
    dev_t device;
    bool keys; /* somebody who moves may read them */
    pid_t members[MAX_MEMBERS_OF_TERMINAL]; /* those who have moved, as deputies; the root first */
    size_t count;
    bool foreground;
    bool background_told;
    unsigned int sightings; /* in a row, of the job in the foreground */
    uint64_t look_at;
    uint64_t hold_until; /* keys are not read: one was a signal to the job */
    uint64_t judged_at;  /* when was last looked for others of the job who read them */
    bool others;         /* there are */
    /* There only: the cell's init, which may end before we hear of it, and its process group. */
    int init; /* its pidfd */
    pid_t init_group;
};

/* Opens home's terminal by its path. It is left as it is until terminal_start(). */
must_use int terminal_take(struct terminal *terminal, const char *path, bool keys);

/* One who moves. */
must_use int terminal_member(struct terminal *terminal, pid_t pid);

/* Takes the master from the cell's init, which holds it as this descriptor. */
must_use int terminal_join(struct terminal *terminal, pid_t init, int fd);

void terminal_start(struct terminal *terminal);

/* Home: see above. Returns when the modes are set. */
void terminal_release(struct terminal *terminal);

/* Home: a deputy was continued. Knows at once whether it is in the foreground. */
void terminal_continued(struct terminal *terminal);

/*
 * There: the job is in home's foreground, or not. Returns when those in the cell find it so, too, or after
 * some milliseconds: where another session than the init's has the terminal, its leader decides.
 */
void terminal_there_place(const struct terminal *terminal, bool foreground);

/* Home: tells the destination of the window's size. */
void terminal_resized(struct terminal *terminal);

/* There: sees to it that the modes as they are now are on their way. */
void terminal_modes(struct terminal *terminal);

/* There: bytes that have been written and are not on their way yet. */
int terminal_pending(const struct terminal *terminal);

void terminal_poll(const struct terminal *terminal, struct pollfd polls[TERMINAL_POLLS]);

/* For poll(2), in milliseconds; -1: as long as you like. */
int terminal_timeout(const struct terminal *terminal);

void terminal_step(struct terminal *terminal, const struct pollfd polls[TERMINAL_POLLS]);

/* For terminal.c: the two sides. What came, and what can be read from `real`. */
void terminal_home_frame(struct terminal *terminal, const struct frame *frame);
void terminal_home_read(struct terminal *terminal);
void terminal_home_look(struct terminal *terminal);
bool terminal_home_adds_returns(const struct terminal *terminal);
void terminal_there_hang_up(const struct terminal *terminal);
void terminal_there_frame(struct terminal *terminal, const struct frame *frame);
void terminal_there_read(struct terminal *terminal);

#endif
