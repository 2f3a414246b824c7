#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int sys_pidfd_open(pid_t pid)
{
    /* Raw: glibc has a wrapper only since 2.36. The descriptor is always close-on-exec. */
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}

int sys_take_fd(pid_t pid, int fd)
{
    int pidfd = sys_pidfd_open(pid);
    int taken;

    if (pidfd < 0)
        return pidfd;
    taken = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
    if (taken < 0)
        taken = -errno;
    close(pidfd);
    return taken;
}

int sys_pidfd_signal(int pidfd, int number)
{
    return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

pid_t sys_fork_into(unsigned long namespaces)
{
    /*
     * unshare(CLONE_NEWPID) would move only later children, so init would need two forks. A raw clone without
     * a stack is a fork; what it skips are glibc's fork handlers and its cached thread id, which matter for
     * threads and abort() only: the shim has one thread, and the child soon executes something else or
     * stays within plain system calls.
     */
    pid_t pid = (pid_t)syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0);

    return pid < 0 ? -errno : pid;
}

int sys_close_range(unsigned int first, unsigned int last)
{
    return syscall(SYS_close_range, first, last, 0) < 0 ? -errno : 0;
}

int sys_close_from(unsigned int first)
{
    return sys_close_range(first, UINT_MAX);
}

int sys_null(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int error = 0;

    if (null < 0)
        return -errno;
    if (null == fd)
        return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
    if (dup2(null, fd) < 0)
        error = -errno;
    close(null);
    return error;
}

int sys_write_all(int fd, const void *data, size_t size)
{
    const char *rest = data;

    while (size > 0) {
        ssize_t n = write(fd, rest, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        rest += n;
        size -= (size_t)n;
    }
    return 0;
}

ssize_t sys_read_at(int dir, const char *name, char *text, size_t size)
{
    size_t used = 0;
    ssize_t n = 0;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (used < size - 1) {
        n = read(fd, text + used, size - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    if (n < 0)
        n = -errno;
    close(fd);
    text[used] = 0;
    return n < 0 ? n : (ssize_t)used;
}

int sys_write_at(int dir, const char *name, const char *text)
{
    size_t size = 0;
    int error;
    int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (text[size])
        size++;
    error = sys_write_all(fd, text, size);
    close(fd);
    return error;
}

uint64_t sys_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void sys_sleep_ms(unsigned int ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

int sys_left_ms(uint64_t deadline)
{
    uint64_t now = sys_now();
    uint64_t left = deadline > now ? (deadline - now + 999) / 1000 : 0;

    return left > INT_MAX ? INT_MAX : (int)left;
}

void sys_hurry(pid_t pid)
{
    const struct sched_param at_once = {.sched_priority = 1};

    if (sched_setscheduler(pid, SCHED_FIFO | SCHED_RESET_ON_FORK, &at_once) < 0)
        return;
}

int sys_parse_number(const char *text, long min, long max, long *number)
{
    char *end;

    /* strtol skips blanks and takes a sign; a pid has neither. */
    if (text[0] < '0' || text[0] > '9')
        return -EINVAL;
    errno = 0;
    *number = strtol(text, &end, 10);
    if (errno || *end || *number < min || *number > max)
        return -EINVAL;
    return 0;
}
