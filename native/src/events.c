#include "events.h"
#include "serve.h"
#include "sys.h"

#include <errno.h>
#include <string.h>

enum { ROUNDS = 4 };

/* Nothing of this range is to be put in any more; but of moved pieces only if `moved_too`. */
static int forget(struct view *view, uint64_t start, uint64_t end, bool moved_too)
{
    struct areas *old = view->areas;
    struct areas *rest = areas_without(old, start, end, moved_too);

    if (!rest)
        return -ENOMEM;
    for (size_t i = 0; i < old->count; i++) {
        const struct piece *piece = &old->pieces[i];
        uint64_t from = start > piece->start ? start : piece->start;
        uint64_t to = end < piece->end ? end : piece->end;

        if (from < to && (moved_too || !piece->moved))
            memset(view->pages + piece->index + (from - piece->start) / PAGE_SIZE, PAGE_DONE,
                   (to - from) / PAGE_SIZE);
    }
    view->areas = rest;
    areas_free(old);
    return 0;
}

/*
 * The process drops what is there, in a moment. Its mapping stays registered, though all that is asked for there
 * from now on is zeros: a mapping of which a part is not registered is two, and mremap moves one alone.
 */
static int removed(struct view *view, uint64_t start, uint64_t end)
{
    uffd_wake(view->fd, start, end - start);
    return forget(view, start, end, true);
}

/*
 * Two threads' events may come in the wrong order: one has unmapped, the other has moved something there
 * since and that is told first. So what has moved stays; if it is unmapped, the next attempt to put pages
 * there shows that.
 */
static int unmapped(struct view *view, uint64_t start, uint64_t end)
{
    uffd_wake(view->fd, start, end - start);
    return forget(view, start, end, false);
}

/* Done once more, after a kill: then nothing is there that could move. */
static int moved(struct view *view, uint64_t from, uint64_t to, uint64_t size)
{
    struct areas *old;
    struct areas *now;
    int error;

    if (!areas_any(view->areas, from, from + size))
        return 0;
    error = forget(view, to, to + size, true);
    if (error < 0)
        return error;
    old = view->areas;
    now = areas_moved(old, from, to, size);
    if (!now)
        return -ENOMEM;
    view->areas = now;
    areas_free(old);
    uffd_wake(view->fd, from, size);
    return 0;
}

static int obey(struct views *views, struct view *view, const struct uffd_msg *message)
{
    switch (message->event) {
    case UFFD_EVENT_FORK:
        return views_forked(views, view, (int)message->arg.fork.ufd);
    case UFFD_EVENT_REMAP:
        return moved(view, message->arg.remap.from, message->arg.remap.to, message->arg.remap.len);
    case UFFD_EVENT_REMOVE:
        return removed(view, message->arg.remove.start, message->arg.remove.end);
    case UFFD_EVENT_UNMAP:
        return unmapped(view, message->arg.remove.start, message->arg.remove.end);
    default:
        return 0; /* none that was asked for */
    }
}

/* Threads are told of before what others did to the mappings, though they may have waited only after that. */
static int empty_inbox(struct views *views, struct view *view)
{
    for (int faults = 0; faults <= 1; faults++) {
        for (size_t i = 0; i < INBOX; i++) {
            struct uffd_msg *message = &view->inbox[i];
            int error;

            if (message->event == 0 || (message->event == UFFD_EVENT_PAGEFAULT) != faults)
                continue;
            error = faults ? serve_fault(views, view, message->arg.pagefault.address & -(uint64_t)PAGE_SIZE)
                           : obey(views, view, message);
            if (error < 0)
                return error;
            message->event = 0;
        }
    }
    return 0;
}

bool events_wait(const struct view *view)
{
    for (size_t i = 0; i < INBOX; i++) {
        if (view->inbox[i].event)
            return true;
    }
    return false;
}

int events_serve(struct views *views, struct view *view)
{
    for (int i = 0; i < ROUNDS; i++) {
        int error = empty_inbox(views, view);
        int count;

        if (error < 0)
            return error;
        /* Killed after this, the messages are in the inbox, and are found there. */
        count = uffd_read(view->fd, view->inbox, INBOX);
        if (count <= 0)
            return 0;
    }
    return empty_inbox(views, view);
}
