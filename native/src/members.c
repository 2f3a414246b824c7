#include "injection.h"
#include "lines.h"
#include "post.h"
#include "sys.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static bool has_ended(const struct member *member)
{
    struct pollfd end = {.fd = member->pidfd, .events = POLLIN};

    return poll(&end, 1, 0) > 0;
}

static void forget(struct post *post, size_t index)
{
    struct member *member = &post->members[index];

    if (member->watched)
        line_say(1, "ended %d", member->inner);
    close(member->pidfd);
    *member = post->members[--post->count];
}

static void forget_ended(struct post *post)
{
    for (size_t i = 0; i < post->count;) {
        if (has_ended(&post->members[i]))
            forget(post, i);
        else
            i++;
    }
}

static struct member *add(struct post *post, pid_t inner, pid_t pid)
{
    struct member *member = &post->members[post->count];
    struct proc_status status;

    if (post->count == MAX_MEMBERS)
        return NULL;
    *member = (struct member){.inner = inner, .pid = pid, .pidfd = sys_pidfd_open(pid)};
    if (member->pidfd < 0)
        return NULL;
    /* Asked again now that the pidfd holds it. */
    if (proc_status(pid, pid, &status) < 0 || status.inner != inner || has_ended(member)) {
        close(member->pidfd);
        return NULL;
    }
    post->count++;
    return member;
}

/* Below the init, generation by generation. */
static pid_t search(pid_t init, pid_t inner)
{
    struct pids found = {0};
    pid_t pid = -ESRCH;
    int error = proc_children(init, &found);

    for (size_t i = 0; error == 0 && i < found.count; i++) {
        struct proc_status status;

        if (proc_status(found.list[i], found.list[i], &status) == 0 && status.inner == inner) {
            pid = found.list[i];
            break;
        }
        /* One that ends just now has no children any more: the init has them, and the next look. */
        error = proc_children(found.list[i], &found);
        if (error == -ENOENT || error == -ESRCH)
            error = 0;
    }
    pids_free(&found);
    return pid;
}

struct member *members_find(struct post *post, pid_t inner)
{
    pid_t pid;

    forget_ended(post);
    for (size_t i = 0; i < post->count; i++) {
        if (post->members[i].inner == inner)
            return &post->members[i];
    }
    pid = search(post->init, inner);
    return pid < 0 ? NULL : add(post, inner, pid);
}

static bool can_run(pid_t pid, pid_t tid, pid_t *inner)
{
    struct proc_status status;

    if (proc_status(pid, tid, &status) < 0 || status.state == 'Z' || status.state == 'X')
        return false;
    *inner = status.inner;
    return true;
}

pid_t member_thread(const struct member *member, pid_t *tid)
{
    struct pids threads = {0};
    bool any = *tid == 0;
    pid_t found = -ESRCH;
    int error;

    if ((any || *tid == member->inner) && can_run(member->pid, member->pid, &(pid_t){0}))
        return member->pid;
    error = proc_threads(member->pid, &threads);
    for (size_t i = 0; error == 0 && i < threads.count && found < 0; i++) {
        pid_t inner;

        /* To the process, without its leader: the kernel takes such a signal from no other thread. So it is
         * sent to the first thread there is. */
        if (can_run(member->pid, threads.list[i], &inner) && (any || inner == *tid)) {
            found = threads.list[i];
            *tid = inner;
        }
    }
    pids_free(&threads);
    return found;
}

int members_wait(struct post *post, int fd)
{
    struct pollfd events[MAX_MEMBERS + 1];

    for (;;) {
        nfds_t count = 1;

        events[0] = (struct pollfd){.fd = fd, .events = POLLIN};
        for (size_t i = 0; i < post->count; i++) {
            if (post->members[i].watched)
                events[count++] = (struct pollfd){.fd = post->members[i].pidfd, .events = POLLIN};
        }
        if (poll(events, count, -1) < 0 && errno != EINTR)
            return -errno;
        forget_ended(post);
        if (events[0].revents)
            return 0;
    }
}

void members_wipe(struct post *post)
{
    for (size_t i = 0; i < post->count; i++) {
        if (post->members[i].base)
            injection_wipe(post->members[i].pid);
    }
}
