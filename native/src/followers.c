#include "followers.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void followers_clear(struct followers *followers)
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++)
        followers->list[i].fd = -1;
}

void followers_add(struct followers *followers, const struct views *views, int fd)
{
    followers_remove(followers, fd);
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        struct follower *follower = &followers->list[i];

        if (follower->fd >= 0)
            continue;
        memset(follower, 0, sizeof(*follower));
        follower->want = views->want_count;
        follower->fd = fd;
        return;
    }
}

void followers_remove(struct followers *followers, int fd)
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        if (followers->list[i].fd == fd)
            followers->list[i].fd = -1;
    }
}

/* Nothing, or the line as a whole. False: it has no room now. */
__attribute__((format(printf, 2, 3))) static bool say(struct follower *follower, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size >= sizeof(line))
        return true;
    if (send(follower->fd, line, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) == size)
        return true;
    follower->behind = errno == EAGAIN;
    return !follower->behind; /* one that has gone is found out elsewhere */
}

static bool say_want(struct follower *follower, const struct process *process, uint64_t index)
{
    return say(follower, "want %d %llx\n", process->vpid,
               (unsigned long long)plan_address(&process->plan, index));
}

static bool say_state(struct follower *follower, const struct process *process)
{
    if (process->state == STATE_FINISHED)
        return say(follower, "finished %d\n", process->vpid);
    if (process->state == STATE_GONE)
        return say(follower, "gone %d\n", process->vpid);
    return true;
}

static bool tell_processes(struct follower *follower, const struct views *views)
{
    for (size_t i = 0; i < views->process_count; i++) {
        const struct process *process = views->processes[i];

        if (follower->errors[i] != process->errors) {
            if (!say(follower, "error %d %s\n", process->vpid, process->error))
                return false;
            follower->errors[i] = process->errors;
        }
        if (follower->states[i] != process->state) {
            if (!say_state(follower, process))
                return false;
            follower->states[i] = (unsigned char)process->state;
        }
    }
    return true;
}

/* The wants that there were before it came, or while it did not listen. */
static bool tell_old_wants(struct follower *follower, const struct views *views)
{
    for (; follower->slot < views->view_count; follower->slot++, follower->index = 0) {
        const struct view *view = views->views[follower->slot];

        while (view && view->process && follower->index < view->count) {
            const unsigned char *page =
                memchr(view->pages + follower->index, PAGE_ASKED, view->count - follower->index);

            if (!page)
                break;
            follower->index = (uint64_t)(page - view->pages);
            if (!say_want(follower, view->process, follower->index))
                return false;
            follower->index++;
        }
    }
    return true;
}

static bool tell_wants(struct follower *follower, const struct views *views)
{
    if (views->want_count - follower->want > WANTS) {
        follower->want = views->want_count;
        follower->slot = 0;
        follower->index = 0;
    }
    if (!tell_old_wants(follower, views))
        return false;
    for (; follower->want < views->want_count; follower->want++) {
        const struct want *want = &views->wants[follower->want % WANTS];

        if (!say_want(follower, want->process, want->index))
            return false;
    }
    return true;
}

void followers_tell(struct followers *followers, const struct views *views)
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        struct follower *follower = &followers->list[i];

        if (follower->fd < 0)
            continue;
        follower->behind = false;
        if (follower->resumed != views->resumed && say(follower, "resumed\n"))
            follower->resumed = true;
        if (!follower->behind && tell_wants(follower, views) && tell_processes(follower, views))
            continue;
    }
}

void followers_poll(const struct followers *followers, struct pollfd polls[SERVER_CLIENTS])
{
    for (size_t i = 0; i < SERVER_CLIENTS; i++) {
        const struct follower *follower = &followers->list[i];

        polls[i] = (struct pollfd){.fd = follower->behind ? follower->fd : -1, .events = POLLOUT};
    }
}
