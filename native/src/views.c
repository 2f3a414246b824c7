#include "views.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void *take(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static void give(void *memory, size_t size)
{
    if (memory)
        munmap(memory, size);
}

static size_t pages_size(uint64_t count)
{
    return count > 0 ? count : 1;
}

static void free_view(struct view *view)
{
    areas_free(view->areas);
    give(view->pages, pages_size(view->count));
    give(view, sizeof(*view));
}

/* Takes the areas over, also where there is none or no other memory: then NULL. */
static struct view *new_view(struct process *process, struct areas *areas, uint64_t count)
{
    struct view *view = areas ? take(sizeof(*view)) : NULL;

    if (!view) {
        areas_free(areas);
        return NULL;
    }
    *view = (struct view){.process = process, .fd = -1, .areas = areas, .count = count};
    view->pages = take(pages_size(count));
    if (view->pages)
        return view;
    free_view(view);
    return NULL;
}

static int free_slot(const struct views *views)
{
    for (int i = 0; i < MAX_VIEWS; i++) {
        if (!views->views[i])
            return i;
    }
    return -EMFILE;
}

static int publish(struct views *views, struct view *view)
{
    int slot = free_slot(views);

    if (slot < 0)
        return slot;
    if ((size_t)slot >= views->view_count)
        views->view_count = (size_t)slot + 1;
    views->views[slot] = view;
    views->changes++;
    return 0;
}

static bool has_descriptor(const struct views *views, int fd)
{
    for (size_t i = 0; i < views->view_count; i++) {
        if (views->views[i] && views->views[i]->fd == fd)
            return true;
    }
    return false;
}

struct process *views_find(const struct views *views, int vpid)
{
    for (size_t i = 0; i < views->process_count; i++) {
        if (views->processes[i]->vpid == vpid)
            return views->processes[i];
    }
    return NULL;
}

static struct view *first_view(struct process *process)
{
    const struct plan *plan = &process->plan;
    struct view *view = new_view(process, areas_of(plan), plan->pages);

    for (size_t i = 0; view && i < plan->missing_count; i++) {
        const struct area *missing = &plan->missing[i];

        memset(view->pages + missing->index, PAGE_MISSING, (missing->end - missing->start) / PAGE_SIZE);
    }
    return view;
}

int views_announce(struct views *views, int vpid, int store, const struct plan *plan)
{
    const struct process *old = views_find(views, vpid);
    struct process *process;
    size_t slot = 0;

    if (old && old->state != STATE_EXPECTED)
        return -EEXIST;
    while (slot < views->process_count && views->processes[slot] != old)
        slot++;
    if (slot == MAX_PROCESSES)
        return -EMFILE;
    process = take(sizeof(*process));
    if (!process)
        return -ENOMEM;
    *process = (struct process){.vpid = vpid, .store = store, .plan = *plan};
    process->root = first_view(process);
    if (!process->root) {
        give(process, sizeof(*process));
        return -ENOMEM;
    }
    /* The old one's memory is nobody's from now on: that does not happen often. */
    views->processes[slot] = process;
    if (slot == views->process_count)
        views->process_count = slot + 1;
    if (old)
        close(old->store);
    return 0;
}

int views_arrived(struct views *views, int vpid, int fd)
{
    struct process *process = views_find(views, vpid);
    struct view *view = process ? process->root : NULL;

    if (has_descriptor(views, fd)) {
        if (process)
            process->root = NULL;
        return 0;
    }
    if (process && !view)
        return -EEXIST;
    if (!view) {
        static const struct plan nothing;

        view = new_view(NULL, areas_of(&nothing), 0);
    }
    if (!view)
        return -ENOMEM;
    view->fd = fd;
    if (process)
        process->state = STATE_SERVED;
    if (publish(views, view) < 0)
        return -EMFILE;
    if (process)
        process->root = NULL;
    return 0;
}

int views_forked(struct views *views, const struct view *parent, int fd)
{
    struct view *view;

    if (has_descriptor(views, fd))
        return 0;
    view = new_view(parent->process, areas_copy(parent->areas), parent->count);
    if (!view)
        return -ENOMEM;
    memcpy(view->pages, parent->pages, parent->count);
    view->next = parent->next;
    view->lacking = parent->lacking;
    view->child = true;
    view->fd = fd;
    if (publish(views, view) == 0)
        return 0;
    free_view(view);
    return -EMFILE;
}

static void settle(const struct views *views, struct process *process)
{
    size_t at = 0;
    int store = process->store;

    if (process->state != STATE_SERVED || views_next(views, process, &at))
        return;
    process->state = process->last;
    process->store = -1;
    close(store);
}

void views_close(struct views *views, size_t slot, enum state state)
{
    struct view *view = views->views[slot];

    if (view->process && view->process->last != STATE_FINISHED)
        view->process->last = state;
    views->closing = view->fd;
    views->views[slot] = NULL;
    views->changes++;
    close(views->closing);
    views->closing = -1;
    if (view->process)
        settle(views, view->process);
    free_view(view);
}

struct view *views_next(const struct views *views, const struct process *process, size_t *at)
{
    while (*at < views->view_count) {
        struct view *view = views->views[(*at)++];

        if (view && view->process == process)
            return view;
    }
    if (*at == views->view_count) {
        (*at)++;
        return process->root;
    }
    return NULL;
}

enum page views_page(const struct views *views, const struct process *process, uint64_t index)
{
    enum page found = PAGE_DONE;
    const struct view *view;
    size_t at = 0;

    while ((view = views_next(views, process, &at))) {
        enum page page = view->pages[index];

        if (page == PAGE_ASKED)
            return page;
        if (page == PAGE_MISSING || found == PAGE_DONE)
            found = page;
    }
    return found;
}

void views_count(const struct views *views, const struct process *process, uint64_t counts[PAGE_KINDS])
{
    size_t at = 0;
    const struct view *view = views_next(views, process, &at);
    bool alone = view && !views_next(views, process, &at);

    memset(counts, 0, PAGE_KINDS * sizeof(counts[0]));
    for (uint64_t i = 0; i < process->plan.pages; i++)
        counts[alone ? view->pages[i] : views_page(views, process, i)]++;
}

void views_want(struct views *views, struct process *process, uint64_t index)
{
    views->wants[views->want_count % WANTS] = (struct want){.process = process, .index = index};
    views->want_count++;
}

void views_recover(struct views *views)
{
    /* Its number may be another descriptor's by now. */
    if (views->closing >= 0 && uffd_is(views->closing))
        close(views->closing);
    views->closing = -1;
    views->changes++;
    for (size_t i = 0; i < views->process_count; i++)
        settle(views, views->processes[i]);
}
