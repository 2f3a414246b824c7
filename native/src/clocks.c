#include "clocks.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

#define SECOND 1000000000LL

int clocks_parse(const char *text, struct clocks *clocks)
{
    char *end;

    errno = 0;
    clocks->monotonic = strtoll(text, &end, 10);
    if (errno || end == text || *end != ':')
        return -EINVAL;
    text = end + 1;
    clocks->boottime = strtoll(text, &end, 10);
    clocks->given = !errno && end != text && !*end;
    return clocks->given ? 0 : -EINVAL;
}

/* What one of our own clocks is ahead of the machine's: the kernel counts every namespace from there. */
static long long own(const char *offsets, const char *name)
{
    const char *line = strstr(offsets, name);
    long long seconds = 0;
    long long nanos = 0;

    if (!line || sscanf(line + strlen(name), "%lld %lld", &seconds, &nanos) != 2)
        return 0;
    return seconds * SECOND + nanos;
}

/* As timens_offsets takes them: nanoseconds are never negative. */
static void split(long long offset, long long *seconds, long long *nanos)
{
    *seconds = offset / SECOND;
    *nanos = offset % SECOND;
    if (*nanos < 0) {
        *nanos += SECOND;
        --*seconds;
    }
}

int clocks_shift(const struct clocks *clocks)
{
    char offsets[256];
    char wanted[128];
    long long monotonic[2];
    long long boottime[2];
    int before;
    int error;

    if (!clocks->given)
        return 0;
    if (sys_read_at(AT_FDCWD, "/proc/self/timens_offsets", offsets, sizeof(offsets)) <= 0)
        return -ENOSYS;
    split(own(offsets, "monotonic") + clocks->monotonic, &monotonic[0], &monotonic[1]);
    split(own(offsets, "boottime") + clocks->boottime, &boottime[0], &boottime[1]);
    snprintf(wanted, sizeof(wanted), "monotonic %lld %lld\nboottime %lld %lld\n", monotonic[0], monotonic[1],
             boottime[0], boottime[1]);
    before = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
    if (before < 0)
        return -errno;
    error = unshare(CLONE_NEWTIME) < 0 ? -errno : 0;
    if (error == 0) {
        error = sys_write_at(AT_FDCWD, "/proc/self/timens_offsets", wanted);
        /* Not so: back to where those that we fork would live anyway. */
        if (error < 0 && setns(before, CLONE_NEWTIME) < 0)
            error = -errno;
    }
    close(before);
    return error;
}

int clocks_join(pid_t pid)
{
    char path[64];
    int error;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/ns/time", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno; /* a kernel without */
    error = setns(fd, CLONE_NEWTIME) < 0 ? -errno : 0;
    close(fd);
    return error;
}
