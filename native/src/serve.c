#include "serve.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 64, /* pages: what is put in at once while nobody waits */
    RUN = 16,   /* pages around one that somebody waited for */
    LEAP = 1 << 16, /* of a hole, at once */
    /* The process is just changing its mappings. */
    BUSY_US = 50,
    /* No memory, or the store cannot be read: that passes, or it is told again. */
    TROUBLE_US = 500000,
};

static _Alignas(PAGE_SIZE) char buffer[CHUNK * PAGE_SIZE];

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void tell(struct process *process, const char *what, const char *why)
{
    snprintf(process->error, sizeof(process->error), "%s: %s", what, why);
    process->errors++;
}

/* -EIO: that was told. */
static void put_off(struct view *view, int error)
{
    if (view->process && error != -EAGAIN && error != -EIO)
        tell(view->process, "cannot put a page in", strerror(-error));
    view->retry_at = sys_now() + (error == -EAGAIN ? BUSY_US : TROUBLE_US);
}

static uint64_t piece_end(const struct piece *piece)
{
    return piece->index + (piece->end - piece->start) / PAGE_SIZE;
}

static uint64_t address_of(const struct piece *piece, uint64_t index)
{
    return piece->start + (index - piece->index) * PAGE_SIZE;
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

/* Puts pages in, data NULL: zeros. Those that are there or not mapped any more are done, too. */
static int put(struct view *view, uint64_t address, uint64_t index, uint64_t count, const char *data)
{
    uint64_t most = count;
    uint64_t done = 0;

    while (done < count) {
        uint64_t size = min(most, count - done) * PAGE_SIZE;
        uint64_t at = address + done * PAGE_SIZE;
        int64_t n = data ? uffd_copy(view->fd, at, data + done * PAGE_SIZE, size) : uffd_zero(view->fd, at, size);

        if (n == -ENOENT && size > PAGE_SIZE) {
            /* More than one mapping by now. */
            most = size / PAGE_SIZE / 2;
            continue;
        }
        if (n == -EEXIST || n == -ENOENT) {
            uffd_wake(view->fd, at, PAGE_SIZE);
            n = PAGE_SIZE;
        }
        if (n < 0)
            return (int)n;
        memset(view->pages + index + done, PAGE_DONE, (uint64_t)n / PAGE_SIZE);
        done += (uint64_t)n / PAGE_SIZE;
    }
    return 0;
}

/* Puts what is in the buffer in. Zeros that nobody waits for need not be there. */
static int put_loaded(struct view *view, const struct piece *piece, uint64_t index, uint64_t count, bool zeros)
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
            error = put(view, address_of(piece, index + done), index + done, n, zero ? NULL : data);
        if (error < 0)
            return error;
        done += n;
    }
    return 0;
}

/* How many pages from this one on are here and not in yet. */
static uint64_t run_of(const struct view *view, uint64_t index, uint64_t end)
{
    uint64_t n = 0;

    while (index + n < end && view->pages[index + n] == PAGE_HERE)
        n++;
    return n;
}

/* The next touches are likely to be near. */
static int put_around(struct view *view, const struct piece *piece, uint64_t index)
{
    uint64_t address = address_of(piece, index);
    uint64_t before = min((address - piece->start) / PAGE_SIZE, address / PAGE_SIZE % RUN);
    uint64_t end = min(piece_end(piece), index - before + RUN);
    uint64_t n = run_of(view, index + 1, end);
    int error = 0;

    if (n > 0) {
        error = load(view->process, index + 1, n);
        if (error == 0)
            error = put_loaded(view, piece, index + 1, n, true);
    }
    for (n = 0; n < before && view->pages[index - n - 1] == PAGE_HERE;)
        n++;
    if (error == 0 && n > 0) {
        error = load(view->process, index - n, n);
        if (error == 0)
            error = put_loaded(view, piece, index - n, n, true);
    }
    return error;
}

static int zero_at(const struct view *view, uint64_t address)
{
    int64_t n = uffd_zero(view->fd, address, PAGE_SIZE);

    if (n == -EEXIST || n == -ENOENT) {
        uffd_wake(view->fd, address, PAGE_SIZE);
        return 0;
    }
    return n < 0 ? (int)n : 0;
}

static int serve_here_page(struct view *view, const struct piece *piece, uint64_t index)
{
    int error = load(view->process, index, 1);

    if (error == 0)
        error = put_loaded(view, piece, index, 1, true);
    if (error < 0)
        return error;
    view->process->faults++;
    error = put_around(view, piece, index);
    /* Nobody has waited for those. */
    return error == -ESRCH ? error : 0;
}

/* Somebody waits there. 0: not any more, or for a page that is missing. */
static int serve(struct views *views, struct view *view, uint64_t address)
{
    const struct piece *piece = areas_at(view->areas, address);
    uint64_t index = piece ? piece->index + (address - piece->start) / PAGE_SIZE : 0;

    if (!piece)
        return zero_at(view, address);
    switch ((enum page)view->pages[index]) {
    case PAGE_HERE:
        return serve_here_page(view, piece, index);
    case PAGE_MISSING:
        if (views_page(views, view->process, index) != PAGE_ASKED)
            views_want(views, view->process, index);
        view->pages[index] = PAGE_ASKED;
        return 0;
    case PAGE_ASKED:
        return 0;
    case PAGE_DONE:
        view->process->faults++;
        return zero_at(view, address);
    }
    return 0;
}

int serve_fault(struct views *views, struct view *view, uint64_t address)
{
    int error = serve(views, view, address);
    uint64_t *room = NULL;

    if (error == 0 || error == -ESRCH)
        return error;
    put_off(view, error);
    for (size_t i = 0; i < LATER; i++) {
        if (view->later[i] == address)
            return 0;
        if (view->later[i] == 0)
            room = &view->later[i];
    }
    if (room)
        *room = address;
    else
        uffd_wake(view->fd, address, PAGE_SIZE); /* and it is told of again */
    return 0;
}

int serve_later(struct views *views, struct view *view)
{
    if (sys_now() < view->retry_at)
        return 0;
    for (size_t i = 0; i < LATER; i++) {
        int error = view->later[i] ? serve(views, view, view->later[i]) : 0;

        if (error == -ESRCH)
            return error;
        if (error == 0)
            view->later[i] = 0;
        else
            put_off(view, error);
    }
    return 0;
}

bool serve_is_late(const struct view *view)
{
    for (size_t i = 0; i < LATER; i++) {
        if (view->later[i])
            return true;
    }
    return false;
}

void serve_here(struct views *views, struct process *process, uint64_t first, uint64_t last)
{
    struct view *view;
    size_t at = 0;

    while ((view = views_next(views, process, &at))) {
        for (uint64_t i = first; i < last; i++) {
            bool asked = view->pages[i] == PAGE_ASKED;
            const struct piece *piece;

            if (!asked && view->pages[i] != PAGE_MISSING)
                continue;
            if (i < view->next)
                view->next = i;
            view->pages[i] = PAGE_HERE;
            piece = asked ? areas_with(view->areas, i) : NULL;
            /* That the process has gone shows again. */
            if (piece && serve_fault(views, view, address_of(piece, i)) < 0)
                break;
        }
    }
}

/* The pages are in, or zeros, and no one else needs the store's. */
static void punch(const struct views *views, const struct process *process, uint64_t index, uint64_t count)
{
    off_t offset = (off_t)plan_address(&process->plan, index);

    for (uint64_t i = index; i < index + count; i++) {
        if (views_page(views, process, i) != PAGE_DONE)
            return;
    }
    /* What it does not give back is given back with the file. */
    if (fallocate(process->store, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                  (off_t)(count * PAGE_SIZE)) < 0)
        errno = 0;
}

/* How many pages from this one on are in a hole of the store, looking at `count` of them. */
static uint64_t hole_at(const struct process *process, uint64_t index, uint64_t count)
{
    off_t offset = (off_t)plan_address(&process->plan, index);
    off_t data = lseek(process->store, offset, SEEK_DATA);
    struct stat info;

    if (data < 0 && (errno != ENXIO || fstat(process->store, &info) < 0))
        return 0;
    if (data < 0)
        data = info.st_size; /* what is beyond is no hole */
    return data > offset ? min(count, (uint64_t)(data - offset) / PAGE_SIZE) : 0;
}

static int put_ahead(struct views *views, struct view *view, const struct piece *piece, uint64_t index)
{
    uint64_t n = run_of(view, index, min(piece_end(piece), index + CHUNK));
    int error = load(view->process, index, n);

    if (error == 0)
        error = put_loaded(view, piece, index, n, false);
    if (error < 0)
        return error;
    if (is_zero(buffer) && is_zero(buffer + (n - 1) * PAGE_SIZE)) {
        uint64_t more = run_of(view, index + n, min(piece_end(piece), index + n + LEAP));
        uint64_t hole = more > 0 ? hole_at(view->process, index + n, more) : 0;

        memset(view->pages + index + n, PAGE_DONE, hole);
        view->next = index + n + hole;
    } else {
        view->next = index + n;
    }
    punch(views, view->process, index, n);
    return 0;
}

bool serve_has_more(const struct view *view)
{
    return view->next < view->count;
}

int serve_ahead(struct views *views, struct view *view)
{
    const unsigned char *page = memchr(view->pages + view->next, PAGE_HERE, view->count - view->next);
    uint64_t index = page ? (uint64_t)(page - view->pages) : view->count;
    const struct piece *piece = page ? areas_with(view->areas, index) : NULL;
    int error;

    view->next = index;
    if (!page)
        return 0;
    if (!piece) {
        view->pages[index] = PAGE_DONE;
        return 0;
    }
    error = put_ahead(views, view, piece, index);
    if (error < 0)
        put_off(view, error);
    return error == -ESRCH ? error : 0;
}

bool serve_is_complete(struct view *view)
{
    const unsigned char *page;

    while (view->lacking < view->count &&
           (view->pages[view->lacking] == PAGE_HERE || view->pages[view->lacking] == PAGE_DONE))
        view->lacking++;
    if (view->lacking < view->count || view->next < view->count || serve_is_late(view))
        return false;
    page = memchr(view->pages, PAGE_HERE, view->count);
    if (page)
        view->next = (uint64_t)(page - view->pages);
    return !page;
}

void serve_release(const struct view *view)
{
    for (size_t i = 0; i < view->areas->count; i++) {
        const struct piece *piece = &view->areas->pieces[i];

        /* Closing it lets go of all; this also where somebody else holds it, too. */
        if (uffd_unregister(view->fd, piece->start, piece->end - piece->start) < 0)
            continue;
    }
}

void serve_recover(const struct view *view)
{
    for (size_t i = 0; i < view->areas->count; i++) {
        const struct piece *piece = &view->areas->pieces[i];

        uffd_wake(view->fd, piece->start, piece->end - piece->start);
    }
}
