#include "uffd.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int64_t copy_once(int fd, uint64_t address, const void *data, uint64_t size)
{
    struct uffdio_copy copy = {.dst = address, .src = (uintptr_t)data, .len = size};

    if (ioctl(fd, UFFDIO_COPY, &copy) == 0)
        return (int64_t)size;
    /* Done in part, it says EAGAIN; so it does with 0 where it did not even look. */
    return errno == EAGAIN && copy.copy > 0 ? copy.copy : -errno;
}

static int64_t zero_once(int fd, uint64_t address, uint64_t size)
{
    struct uffdio_zeropage zero = {.range = {.start = address, .len = size}};

    if (ioctl(fd, UFFDIO_ZEROPAGE, &zero) == 0)
        return (int64_t)size;
    return errno == EAGAIN && zero.zeropage > 0 ? zero.zeropage : -errno;
}

/*
 * The kernel looks for changes of mappings first and for the mapping then: what changed in between looks like
 * a mapping that is gone for good, and its event is still to come. The second look tells.
 */
int64_t uffd_copy(int fd, uint64_t address, const void *data, uint64_t size)
{
    int64_t done = copy_once(fd, address, data, size);

    return done == -ENOENT ? copy_once(fd, address, data, size) : done;
}

int64_t uffd_zero(int fd, uint64_t address, uint64_t size)
{
    int64_t done = zero_once(fd, address, size);

    return done == -ENOENT ? zero_once(fd, address, size) : done;
}

void uffd_wake(int fd, uint64_t start, uint64_t size)
{
    struct uffdio_range range = {.start = start, .len = size};

    /* It fails for no range that can have somebody waiting in it. */
    if (ioctl(fd, UFFDIO_WAKE, &range) < 0)
        errno = 0;
}

int uffd_unregister(int fd, uint64_t start, uint64_t size)
{
    struct uffdio_range range = {.start = start, .len = size};

    return ioctl(fd, UFFDIO_UNREGISTER, &range) < 0 ? -errno : 0;
}

bool uffd_lives(int fd)
{
    /* Changes nothing: no page is protected against writing by us, so there is nothing to lift. */
    struct uffdio_writeprotect nothing = {.range = {.start = 1 << 16, .len = PAGE_SIZE}};

    return ioctl(fd, UFFDIO_WRITEPROTECT, &nothing) == 0 || errno != ESRCH;
}

bool uffd_is(int fd)
{
    struct uffdio_range nothing = {0};

    return ioctl(fd, UFFDIO_WAKE, &nothing) < 0 && errno == EINVAL;
}

int uffd_read(int fd, struct uffd_msg *messages, size_t count)
{
    ssize_t n;

    do {
        n = read(fd, messages, count * sizeof(*messages));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    return (int)((size_t)n / sizeof(*messages));
}
