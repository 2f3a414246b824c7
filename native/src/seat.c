#include "seat.h"
#include "criu.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_INDEX = 4095 };

int seat_parse(char *text, struct seat *seat)
{
    char *rest = NULL;
    char *words[4];
    long numbers[3];
    char *end;

    for (int i = 0; i < 4; i++) {
        words[i] = strtok_r(i == 0 ? text : NULL, ":", &rest);
        if (!words[i] || (i < 3 && sys_parse_number(words[i], 0, INT_MAX, &numbers[i]) < 0))
            return -EINVAL;
    }
    if (numbers[0] > MAX_INDEX || *rest)
        return -EINVAL;
    seat->index = (int)numbers[0];
    seat->uid = (uid_t)numbers[1];
    seat->gid = (gid_t)numbers[2];
    seat->mode = (mode_t)strtol(words[3], &end, 8);
    return *end || seat->mode > 07777 ? -EINVAL : 0;
}

int seat_also_as(const char *text, struct seat *seat)
{
    long number;

    if (sys_parse_number(text, CRIU_FIRST_GIVEN, INT_MAX, &number) < 0)
        return -EINVAL;
    for (int i = 0; i < 2; i++) {
        if (!seat->also[i]) {
            seat->also[i] = (int)number;
            return 0;
        }
    }
    return -EINVAL;
}

/* Numbers are given in order, so all below are taken until ours is reached, and let go again. */
static int open_master(int index)
{
    static int opened[MAX_INDEX + 1];
    int master = -EMFILE;
    int count = 0;

    while (count <= index) {
        int number = -1;
        int fd = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);

        if (fd < 0) {
            master = -errno;
            break;
        }
        if (ioctl(fd, TIOCGPTN, &number) == 0 && number == index) {
            master = fd;
            break;
        }
        opened[count++] = fd;
    }
    while (count > 0)
        close(opened[--count]);
    return master;
}

/* A low number: those from CRIU_FIRST_GIVEN up are CRIU's. */
static int move_down(int fd)
{
    int low = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (low < 0)
        return -errno;
    close(fd);
    return low;
}

static int open_slave(const struct seat *seat)
{
    const int unlocked = 0;
    char path[32];
    int fd;

    if (ioctl(seat->master, TIOCSPTLCK, &unlocked) < 0)
        return -errno;
    snprintf(path, sizeof(path), "/dev/pts/%d", seat->index);
    fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fchown(fd, seat->uid, seat->gid) < 0 || fchmod(fd, seat->mode) < 0 ||
        (!seat->leader && ioctl(fd, TIOCSCTTY, 0) < 0) || (seat->also[0] && dup2(fd, seat->also[0]) < 0) ||
        (seat->also[1] && dup2(fd, seat->also[1]) < 0)) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

int seat_make(struct seat *seat)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        return -errno;
    if (mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") < 0)
        return -errno;
    seat->master = open_master(seat->index);
    if (seat->master < 0)
        return seat->master;
    seat->master = move_down(seat->master);
    if (seat->master < 0)
        return seat->master;
    seat->slave = open_slave(seat);
    return seat->slave < 0 ? seat->slave : 0;
}

void seat_background(struct seat *seat)
{
    pid_t group = tcgetpgrp(seat->slave);

    if (group <= 0 || group == getpgrp())
        return;
    /* Fails where the terminal is that of another session, whose leader then looks after it. */
    if (tcsetpgrp(seat->slave, getpgrp()) == 0)
        seat->group = group;
}

void seat_foreground(struct seat *seat, pid_t root)
{
    pid_t group = seat->group > 0 ? seat->group : getpgid(root);

    if (tcgetpgrp(seat->slave) != getpgrp() || group <= 0)
        return;
    /* A group that has ended meanwhile: the root's will do. */
    if (tcsetpgrp(seat->slave, group) < 0 && tcsetpgrp(seat->slave, getpgid(root)) < 0)
        return;
    seat->group = 0;
}
