#include "cgroup.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EMPTY_TIMEOUT_MS = 5000,
    REMOVE_TIMEOUT_MS = 2000,
    RETRY_MS = 10,
};

int back_parse(const char *text, struct back *back)
{
    char number[16];
    const char *equals = strchr(text, '=');
    long pid;

    if (!equals || (size_t)(equals - text) >= sizeof(number) || equals[1] != '/')
        return -EINVAL;
    memcpy(number, text, (size_t)(equals - text));
    number[equals - text] = 0;
    if (sys_parse_number(number, 1, INT_MAX, &pid) < 0)
        return -EINVAL;
    back->pid = (pid_t)pid;
    back->cgroup = equals + 1;
    return 0;
}

int cgroup_parse_frozen(const char *events)
{
    static const char key[] = "frozen ";
    const char *line = events;

    while (line && *line) {
        if (strncmp(line, key, sizeof(key) - 1) == 0) {
            char value = line[sizeof(key) - 1];

            return value == '0' ? 0 : value == '1' ? 1 : -EINVAL;
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return -EINVAL;
}

int cgroup_open(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int wait_frozen(int events, bool frozen, uint64_t deadline)
{
    char text[256];

    for (;;) {
        struct pollfd change = {.fd = events, .events = POLLPRI};
        ssize_t n = pread(events, text, sizeof(text) - 1, 0);
        int state;

        if (n < 0)
            return -errno;
        text[n] = 0;
        state = cgroup_parse_frozen(text);
        if (state < 0)
            return state;
        if (state == frozen)
            return 0;
        if (sys_left_ms(deadline) == 0)
            return -ETIMEDOUT;
        /* kernfs reports changes since this very descriptor was last read: read, then poll, misses nothing.
         */
        if (poll(&change, 1, sys_left_ms(deadline)) < 0 && errno != EINTR)
            return -errno;
    }
}

int cgroup_set_frozen(int cgroup, bool frozen, int timeout_ms)
{
    uint64_t deadline = sys_now() + (uint64_t)timeout_ms * 1000;
    int events = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
    int error;

    if (events < 0)
        return -errno;
    error = sys_write_at(cgroup, "cgroup.freeze", frozen ? "1" : "0");
    if (error == 0)
        error = wait_frozen(events, frozen, deadline);
    close(events);
    return error;
}

static int move_to(const char *cgroup, const char *pid)
{
    int dir = cgroup_open(cgroup);
    int error;

    if (dir < 0)
        return dir;
    error = sys_write_at(dir, "cgroup.procs", pid);
    close(dir);
    return error;
}

int cgroup_move_back(pid_t number, const struct back *backs, size_t count)
{
    char pid[16];
    int error = -ENOENT;

    snprintf(pid, sizeof(pid), "%d", number);
    for (size_t i = 0; i < count; i++) {
        if (backs[i].pid == number) {
            error = move_to(backs[i].cgroup, pid);
            break;
        }
    }
    /* ESRCH: it died since it was listed, so it is out too. */
    if (error == 0 || error == -ESRCH)
        return 0;
    if (count == 0)
        return error;
    error = move_to(backs[0].cgroup, pid);
    return error == -ESRCH ? 0 : error;
}

/* One look at cgroup.procs. Returns how many were listed, or the last error if none could be moved. */
static int empty_once(int cgroup, const struct back *backs, size_t count)
{
    char list[4096];
    char *rest;
    int listed = 0;
    int moved = 0;
    int error = 0;
    ssize_t n = sys_read_at(cgroup, "cgroup.procs", list, sizeof(list));

    if (n < 0)
        return (int)n;
    rest = list;
    /* The last line may be cut in two by the buffer: only what ends in a newline is a pid, the next look has
     * it. */
    for (char *end = strchr(rest, '\n'); end; rest = end + 1, end = strchr(rest, '\n')) {
        int result;

        *end = 0;
        listed++;
        result = cgroup_move_back((pid_t)strtol(rest, NULL, 10), backs, count);
        if (result == 0)
            moved++;
        else
            error = result;
    }
    return listed > 0 && moved == 0 ? error : listed;
}

int cgroup_empty(int cgroup, const struct back *backs, size_t count)
{
    uint64_t deadline = sys_now() + (uint64_t)EMPTY_TIMEOUT_MS * 1000;

    for (;;) {
        int listed = empty_once(cgroup, backs, count);

        if (listed <= 0)
            return listed;
        /* A process that forks without end could keep this up for ever; it runs, so nothing is lost by
         * leaving it. */
        if (sys_left_ms(deadline) == 0)
            return -ETIMEDOUT;
    }
}

pid_t cgroup_first(int cgroup)
{
    char list[64];
    ssize_t n = sys_read_at(cgroup, "cgroup.procs", list, sizeof(list));

    if (n < 0)
        return (pid_t)n;
    return n == 0 ? 0 : (pid_t)strtol(list, NULL, 10);
}

int cgroup_remove(const char *path)
{
    uint64_t deadline = sys_now() + (uint64_t)REMOVE_TIMEOUT_MS * 1000;

    while (rmdir(path) < 0) {
        if (errno == ENOENT)
            return 0;
        if (errno != EBUSY || sys_left_ms(deadline) == 0)
            return -errno;
        sys_sleep_ms(RETRY_MS);
    }
    return 0;
}
