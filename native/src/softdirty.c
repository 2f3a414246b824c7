#include "softdirty.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOFT_DIRTY (1ULL << 55)
#define FRAME (SOFT_DIRTY - 1)

enum { PAGE = 4096 };

static int look(const void *page, uint64_t *entry)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = pread(fd, entry, sizeof(*entry), (off_t)((uintptr_t)page / PAGE * sizeof(*entry)));
    close(fd);
    return n == sizeof(*entry) ? 0 : -EIO;
}

static int try_on(volatile char *page)
{
    uint64_t before = 0;
    uint64_t after = 0;
    int error;

    page[0] = 1;
    error = sys_write_at(AT_FDCWD, "/proc/self/clear_refs", "4");
    if (error == 0)
        error = look((const char *)(uintptr_t)page, &before);
    page[0] = 2;
    if (error == 0)
        error = look((const char *)(uintptr_t)page, &after);
    if (error < 0)
        return error;
    if ((before & SOFT_DIRTY) || !(after & SOFT_DIRTY))
        return -ENOSYS;
    return after & FRAME ? 0 : -EPERM;
}

int softdirty_try(void)
{
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int error;

    if (page == MAP_FAILED)
        return -errno;
    error = try_on(page);
    munmap(page, PAGE);
    return error;
}
