#include "ahead.h"
#include "install.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEAP = 1 << 16 }; /* pages of a hole at once */

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
    if (data <= offset)
        return 0;
    return (uint64_t)(data - offset) / PAGE_SIZE < count ? (uint64_t)(data - offset) / PAGE_SIZE : count;
}

static int put_ahead(struct views *views, struct view *view, const struct piece *piece, uint64_t index)
{
    uint64_t hole = hole_at(view->process, index, LEAP);
    uint64_t most = hole > 0 ? hole : INSTALL_MOST;
    uint64_t n = install_run(view, index, areas_run_end(piece, index + most));
    int error;

    if (hole > 0) {
        memset(view->pages + index, PAGE_DONE, n);
        view->next = index + n;
        return 0;
    }
    error = install_pages(view, piece, index, n, false);
    if (error == -ENOENT)
        view->next = index + n; /* all the others come first */
    if (error < 0)
        return error;
    view->next = index + n;
    punch(views, view->process, index, n);
    return 0;
}

bool ahead_has_more(const struct view *view)
{
    return view->next < view->count;
}

int ahead_step(struct views *views, struct view *view)
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
        install_put_off(view, error);
    return error == -ESRCH ? error : 0;
}

bool ahead_is_complete(struct view *view)
{
    const unsigned char *page;

    while (view->lacking < view->count &&
           (view->pages[view->lacking] == PAGE_HERE || view->pages[view->lacking] == PAGE_DONE))
        view->lacking++;
    if (view->lacking < view->count || view->next < view->count)
        return false;
    page = memchr(view->pages, PAGE_HERE, view->count);
    if (page)
        view->next = (uint64_t)(page - view->pages);
    return !page;
}

void ahead_release(const struct view *view)
{
    for (size_t i = 0; i < view->areas->count; i++) {
        const struct piece *piece = &view->areas->pieces[i];

        /* Closing it lets go of all; this also where somebody else holds it, too. */
        if (uffd_unregister(view->fd, piece->start, piece->end - piece->start) < 0)
            continue;
    }
}
