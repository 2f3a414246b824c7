#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int records_open(struct records *records, const char *path)
{
    ssize_t n;

    records->fd = -1;
    records->count = 0;
    if (!path)
        return 0;
    records->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (records->fd < 0)
        return -errno;
    n = pread(records->fd, records->list, sizeof(records->list), 0);
    if (n < 0)
        return -errno;
    records->count = (size_t)n / sizeof(struct record);
    return 0;
}

static size_t find(const struct records *records, pid_t pid)
{
    size_t at = 0;

    while (at < records->count && records->list[at].pid != (uint64_t)pid)
        at++;
    return at;
}

bool records_have(const struct records *records, pid_t pid, uint64_t number)
{
    size_t at = find(records, pid);

    return at < records->count && number <= records->list[at].last;
}

int records_set(struct records *records, pid_t pid, uint64_t number)
{
    size_t at = find(records, pid);
    struct record *one = &records->list[at];

    if (records_have(records, pid, number))
        return 0;
    if (at == MAX_RECORDS)
        return -ENOSPC;
    *one = (struct record){.pid = (uint64_t)pid, .last = number};
    if (at == records->count)
        records->count++;
    if (records->fd >= 0 &&
        pwrite(records->fd, one, sizeof(*one), (off_t)(at * sizeof(*one))) != (ssize_t)sizeof(*one))
        return errno ? -errno : -EIO;
    return 0;
}
