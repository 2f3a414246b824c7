#include "install.h"
#include "sys.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    /* The process is just changing its mappings. */
    BUSY_US = 50,
    /* No memory, or the store cannot be read: that passes, or it is told again. */
    TROUBLE_US = 500000,
};

static _Alignas(PAGE_SIZE) char buffer[INSTALL_MOST * PAGE_SIZE];

static void tell(struct process *process, const char *what, const char *why)
{
    snprintf(process->error, sizeof(process->error), "%s: %s", what, why);
    process->errors++;
}

/* -EIO: that was told. */
void install_put_off(struct view *view, int error)
{
    if (view->process && error != -EAGAIN && error != -EIO)
        tell(view->process, "cannot put a page in",
             error == -ENOENT ? "its mapping is not registered" : strerror(-error));
    view->retry_at = sys_now() + (error == -EAGAIN ? BUSY_US : TROUBLE_US);
}

static bool is_zero(const char *page)
{
    uint64_t first;

    memcpy(&first, page, sizeof(first));
    return first == 0 && memcmp(page, page + sizeof(first), PAGE_SIZE - sizeof(first)) == 0;
}

/* Fills the buffer with that many pages of the store. */
static int load(struct process *process, uint64_t index, uint64_t count)
{
    size_t size = count * PAGE_SIZE;
    off_t offset = (off_t)plan_address(&process->plan, index);
    size_t used = 0;

    while (used < size) {
        ssize_t n = pread(process->store, buffer + used, size - used, offset + (off_t)used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            tell(process, "cannot read the store", n < 0 ? strerror(errno) : "it is too short");
            return -EIO;
        }
        used += (size_t)n;
    }
    return 0;
}

/* A mapping that is not there. Of others its end is told of. */
static bool may_be_gone(const struct view *view, const struct piece *piece)
{
    return view->child || piece->moved;
}

/* Puts pages in, data NULL: zeros. Those that are there or not mapped any more are done, too. */
static int put(struct view *view, const struct piece *piece, uint64_t index, uint64_t count, const char *data)
{
    uint64_t address = areas_address(piece, index);
    uint64_t most = count;
    uint64_t done = 0;

    while (done < count) {
        uint64_t size = (most < count - done ? most : count - done) * PAGE_SIZE;
        uint64_t at = address + done * PAGE_SIZE;
        int64_t n = data ? uffd_copy(view->fd, at, data + done * PAGE_SIZE, size)
                         : uffd_zero(view->fd, at, size);

        if (n == -ENOENT && size > PAGE_SIZE) {
            /* More than one mapping by now. */
            most = size / PAGE_SIZE / 2;
            continue;
        }
        if (n == -EEXIST || n == -ENOENT)
            uffd_wake(view->fd, at, PAGE_SIZE);
        if (n == -EEXIST || (n == -ENOENT && may_be_gone(view, piece)))
            n = PAGE_SIZE;
        if (n < 0)
            return (int)n;
        memset(view->pages + index + done, PAGE_DONE, (uint64_t)n / PAGE_SIZE);
        done += (uint64_t)n / PAGE_SIZE;
    }
    return 0;
}

/* Puts what is in the buffer in. Zeros that nobody waits for need not be there. */
static int put_loaded(struct view *view, const struct piece *piece, uint64_t index, uint64_t count,
                      bool zeros)
{
    uint64_t done = 0;

    while (done < count) {
        const char *data = buffer + done * PAGE_SIZE;
        bool zero = is_zero(data);
        uint64_t n = 1;
        int error = 0;

        while (done + n < count && is_zero(data + n * PAGE_SIZE) == zero)
            n++;
        if (zero && !zeros)
            memset(view->pages + index + done, PAGE_DONE, n);
        else
            error = put(view, piece, index + done, n, zero ? NULL : data);
        if (error < 0)
            return error;
        done += n;
    }
    return 0;
}

int install_pages(struct view *view, const struct piece *piece, uint64_t index, uint64_t count, bool zeros)
{
    int error = load(view->process, index, count);

    return error < 0 ? error : put_loaded(view, piece, index, count, zeros);
}

uint64_t install_run(const struct view *view, uint64_t index, uint64_t end)
{
    uint64_t n = 0;

    while (index + n < end && view->pages[index + n] == PAGE_HERE)
        n++;
    return n;
}

int install_zero(const struct view *view, uint64_t address)
{
    int64_t n = uffd_zero(view->fd, address, PAGE_SIZE);

    if (n == -EEXIST || n == -ENOENT) {
        uffd_wake(view->fd, address, PAGE_SIZE);
        return 0;
    }
    return n < 0 ? (int)n : 0;
}
