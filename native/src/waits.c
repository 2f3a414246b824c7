#include "waits.h"
#include "cgroup.h"
#include "proc.h"
#include "stub.h"
#include "sys.h"
#include "trace.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

enum { FREEZE_MS = 5000, WORDS = 2 };

int waits_parse(const char *text, struct wait_left *wait)
{
    char *end;

    errno = 0;
    wait->tid = (pid_t)strtol(text, &end, 10);
    if (errno || *end != ':' || wait->tid < 1)
        return -EINVAL;
    wait->number = strtol(end + 1, &end, 10);
    if (errno || *end != ':' || wait->number < 0)
        return -EINVAL;
    wait->left = strtoull(end + 1, &end, 10);
    return errno || *end ? -EINVAL : 0;
}

/* A thread that stands in our ptrace stop. */
struct standing {
    pid_t pid, tid;
    const struct wait_left *wait; /* or NULL */
};

struct crowd {
    struct standing *list;
    size_t count;
    bool any; /* of them waits */
};

static const struct wait_left *find(const struct wait_left *waits, size_t count, pid_t inner)
{
    for (size_t i = 0; i < count; i++) {
        if (waits[i].tid == inner)
            return &waits[i];
    }
    return NULL;
}

static int list_process(struct crowd *crowd, pid_t pid, const struct wait_left *waits, size_t count)
{
    struct pids threads = {0};
    int error = proc_threads(pid, &threads);

    for (size_t i = 0; error == 0 && i < threads.count; i++) {
        struct standing *more = realloc(crowd->list, (crowd->count + 1) * sizeof(*more));
        struct proc_status status;

        if (!more) {
            error = -ENOMEM;
            break;
        }
        crowd->list = more;
        if (proc_status(pid, threads.list[i], &status) < 0 || status.state == 'Z' || status.state == 'X')
            continue;
        more[crowd->count] = (struct standing){pid, threads.list[i], find(waits, count, status.inner)};
        crowd->any |= more[crowd->count++].wait != NULL;
    }
    pids_free(&threads);
    return error == -ENOENT || error == -ESRCH ? 0 : error;
}

static int list_all(int cgroup, struct crowd *crowd, const struct wait_left *waits, size_t count)
{
    static char list[65536];
    char *rest = NULL;
    ssize_t n = sys_read_at(cgroup, "cgroup.procs", list, sizeof(list));

    if (n < 0)
        return (int)n;
    if (n == sizeof(list) - 1)
        return -E2BIG;
    for (char *pid = strtok_r(list, "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest)) {
        int error = list_process(crowd, (pid_t)strtol(pid, NULL, 10), waits, count);

        if (error < 0)
            return error;
    }
    return 0;
}

static int shorten(const struct standing *thread, uint64_t address)
{
    uint64_t unit = wait_counts_micros(thread->wait->number) ? 1000 : 1;
    uint64_t value[WORDS] = {thread->wait->left / 1000000000, thread->wait->left % 1000000000 / unit};

    return trace_poke(thread->tid, address, value, sizeof(value));
}

/* Makes the call and interrupts it; both in its ptrace stops. The signals are blocked. */
static int call(pid_t tid, struct user_regs_struct *regs)
{
    int error = trace_set_regs(tid, regs);

    if (error == 0)
        error = trace_to_call(tid);
    /* Pending before it begins, the interrupt ends it as soon as it waits. */
    if (error == 0)
        error = trace_interrupt_now(tid);
    if (error == 0)
        error = trace_to_call(tid);
    return error == 0 ? trace_get_regs(tid, regs) : error;
}

static int begin_again(const struct standing *thread, struct user_regs_struct *regs)
{
    uint64_t time[WORDS] = {thread->wait->left / 1000000000, thread->wait->left % 1000000000};
    /* All others stand: nobody sees what is on top of the stack meanwhile. */
    uint64_t place = regs->rsp & ~(uint64_t)7;
    struct user_regs_struct calling = *regs;
    uint64_t saved[WORDS];
    uint64_t mask;
    int error = proc_read(thread->pid, place, saved, sizeof(saved));
    int back;

    if (error == 0)
        error = trace_get_mask(thread->tid, &mask);
    if (error < 0)
        return error;
    wait_call(&calling, thread->wait->number, thread->wait->left, place);
    error = trace_set_mask(thread->tid, TRACE_ALL_BLOCKED);
    if (error == 0)
        error = trace_poke(thread->tid, place, time, sizeof(time));
    if (error == 0)
        error = call(thread->tid, &calling);
    if (error == 0)
        wait_result(regs, &calling, thread->wait->number);
    back = trace_poke(thread->tid, place, saved, sizeof(saved));
    if (back == 0)
        back = trace_set_regs(thread->tid, regs);
    if (back == 0)
        back = trace_set_mask(thread->tid, mask);
    return error < 0 ? error : back;
}

static int resume(const struct standing *thread)
{
    struct user_regs_struct regs;
    uint64_t code = 0;
    uint64_t address;
    int error = trace_get_regs(thread->tid, &regs);

    if (error < 0 || !regs_are_64_bit(&regs))
        return error;
    address = wait_shortened(&regs, thread->wait->number);
    if (address)
        return shorten(thread, address);
    /* CRIU's word for it: the call is behind it, and has failed with EINTR. */
    if (proc_read(thread->pid, regs.rip - 2, &code, 2) < 0 || !wait_failed(&regs, code))
        return 0;
    return begin_again(thread, &regs);
}

int waits_resume(int cgroup, const struct wait_left *waits, size_t count)
{
    struct crowd crowd = {0};
    int error = list_all(cgroup, &crowd, waits, count);
    size_t stand = 0;

    if (error < 0 || !crowd.any) {
        free(crowd.list);
        return error;
    }
    for (; error == 0 && stand < crowd.count; stand++) {
        error = trace_stand(crowd.list[stand].tid, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);
        if (error == -ESRCH) { /* it ends */
            crowd.list[stand].wait = NULL;
            error = 0;
        }
    }
    /* Thawed, they stand where they are: in our stops. */
    if (error == 0)
        error = cgroup_set_frozen(cgroup, false, FREEZE_MS);
    for (size_t i = 0; error == 0 && i < crowd.count; i++) {
        if (crowd.list[i].wait)
            error = resume(&crowd.list[i]);
    }
    if (error == 0)
        error = cgroup_set_frozen(cgroup, true, FREEZE_MS);
    /* If anything failed we do not let go of them: as we end they are killed, before anybody has promised them
     * a life. */
    for (size_t i = 0; error == 0 && i < stand; i++) {
        error = trace_detach(crowd.list[i].tid, 0);
        if (error == -ESRCH)
            error = 0;
    }
    free(crowd.list);
    return error;
}
