#include "serve.h"
#include "install.h"
#include "sys.h"

#include <errno.h>

enum { RUN = 16 }; /* pages around one that somebody waited for */

/* The next touches are likely to be near. */
static int put_around(struct view *view, const struct piece *piece, uint64_t index)
{
    uint64_t most = areas_address(piece, index) / PAGE_SIZE % RUN;
    uint64_t after = install_run(view, index + 1, areas_run_end(piece, index + RUN - most));
    uint64_t before = 0;
    int error = after > 0 ? install_pages(view, piece, index + 1, after, true) : 0;

    while (before < most && index - before > piece->index && view->pages[index - before - 1] == PAGE_HERE)
        before++;
    return error == 0 && before > 0 ? install_pages(view, piece, index - before, before, true) : error;
}

static int serve_page(struct view *view, const struct piece *piece, uint64_t index)
{
    int error = install_pages(view, piece, index, 1, true);

    if (error < 0)
        return error;
    view->process->faults++;
    /* Nobody has waited for those. */
    return put_around(view, piece, index) == -ESRCH ? -ESRCH : 0;
}

/* Somebody waits there. 0: not any more, or for a page that is missing. */
static int serve(struct views *views, struct view *view, uint64_t address)
{
    const struct piece *piece = areas_at(view->areas, address);
    uint64_t index = piece ? piece->index + (address - piece->start) / PAGE_SIZE : 0;

    if (!piece)
        return install_zero(view, address);
    switch ((enum page)view->pages[index]) {
    case PAGE_HERE:
        return serve_page(view, piece, index);
    case PAGE_MISSING:
        if (views_page(views, view->process, index) != PAGE_ASKED)
            views_want(views, view->process, index);
        view->pages[index] = PAGE_ASKED;
        return 0;
    case PAGE_ASKED:
        return 0;
    case PAGE_DONE:
    case PAGE_KINDS:
        break;
    }
    view->process->faults++;
    return install_zero(view, address);
}

int serve_fault(struct views *views, struct view *view, uint64_t address)
{
    int error = serve(views, view, address);
    uint64_t *room = NULL;

    if (error == 0 || error == -ESRCH)
        return error;
    install_put_off(view, error);
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
            install_put_off(view, error);
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
            if (piece && serve_fault(views, view, areas_address(piece, i)) < 0)
                break;
        }
    }
}

void serve_recover(const struct view *view)
{
    for (size_t i = 0; i < view->areas->count; i++) {
        const struct piece *piece = &view->areas->pieces[i];

        uffd_wake(view->fd, piece->start, piece->end - piece->start);
    }
}
