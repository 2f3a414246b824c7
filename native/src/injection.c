#include "injection.h"
#include "detour.h"
#include "proc.h"
#include "sys.h"
#include "trace.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    RUN_TIMEOUT_MS = 1000,
    LEAVE_TIMEOUT_MS = 3000,
};

/*
 * Looks where a thread is, and sends it on if it waits in the stub. One that stands already is run on a
 * little if it is there.
 */
static int look_at(pid_t tid, bool standing, uint64_t base, enum inject_place *place)
{
    struct user_regs_struct regs;
    int ignored;
    int error = standing ? 0 : trace_stand(tid, 0);

    if (error == 0)
        error = trace_get_regs(tid, &regs);
    if (error == 0)
        *place = inject_place(base, &regs, &ignored);
    if (error == 0 && *place == INJECT_DONE) {
        inject_leave(base, &regs);
        error = trace_set_regs(tid, &regs);
    }
    if (!standing && trace_let_go(tid, 0) < 0)
        return error < 0 ? error : -ESRCH;
    if (error < 0 || !standing)
        return error;
    return *place == INJECT_OUTSIDE ? 0 : detour_step(tid, 2000);
}

/*
 * Threads that a killed predecessor left in the stub: they come out by themselves, but the code under them
 * must stay until then. `standing`: the thread that is in our ptrace stop. 1: there were some.
 */
static int await_leaving(pid_t pid, pid_t standing, uint64_t base)
{
    struct pids threads = {0};
    uint64_t deadline = sys_now() + (uint64_t)LEAVE_TIMEOUT_MS * 1000;
    int error = proc_threads(pid, &threads);
    int seen = 0;

    for (size_t i = 0; error == 0 && i < threads.count;) {
        pid_t tid = threads.list[i];
        enum inject_place place = INJECT_OUTSIDE;

        error = look_at(tid, tid == standing, base, &place);
        if (error == -ESRCH && tid != standing)
            error = 0;
        if (place == INJECT_OUTSIDE) {
            i++;
            continue;
        }
        seen = 1;
        if (error == 0 && sys_left_ms(deadline) == 0)
            error = -ETIMEDOUT;
        sys_sleep_ms(5);
    }
    pids_free(&threads);
    return error < 0 ? error : seen;
}

/* Reads the head of a stub; true if its numbers are ours. */
static bool is_ours(const struct injection *injection, struct inject_head *head)
{
    return injection->base && proc_read(injection->pid, injection->base, head, sizeof(*head)) == 0 &&
           head->magic == INJECT_MAGIC && head->owner == injection->order.head.owner;
}

/* The padding, free of others, into injection->base. 1: this very order has been carried out. */
static int find_room(struct injection *injection)
{
    struct inject_head head;
    bool used;
    int seen;
    int error;

    /* Not so after the process has executed another program. */
    if (is_ours(injection, &head))
        return head.number == injection->order.head.number && head.sent;
    error = proc_padding(injection->pid, INJECT_SIZE, 0, INJECT_MAGIC, &injection->base, &used);
    if (error < 0 || !used)
        return error;
    seen = await_leaving(injection->pid, injection->thread, injection->base);
    if (seen < 0)
        return seen;
    return is_ours(injection, &head) && head.number == injection->order.head.number && (head.sent || seen);
}

/*
 * The number of the order before the thread is aimed, and that it is sent before the thread is put back: in
 * between, a killed one's successor finds the thread in the stub, for as long as that has patience.
 */
static int write_stub(const struct injection *injection, const struct inject *inject)
{
    const size_t head = sizeof(struct inject_head);
    const struct inject_head nothing = {.magic = INJECT_MAGIC};
    int error = trace_poke(injection->thread, inject->base, &nothing, sizeof(nothing));

    if (error == 0)
        error = trace_poke(injection->thread, inject->base + head, inject->bytes + head, INJECT_SIZE - head);
    if (error == 0)
        error = trace_poke(injection->thread, inject->base, inject->bytes, head);
    return error;
}

/*
 * While it is led about, the thread takes no signal, so that none is handled in the stub; except this one: it
 * is for this thread first, as the kernel has it, not for whichever other thread of the process has it
 * unblocked. (Then it stops to be given the signal, and is put back first.)
 */
static uint64_t mask_for(const struct injection *injection, uint64_t mask)
{
    uint64_t one = 1ULL << (injection->order.info->si_signo - 1);

    return mask & one ? TRACE_ALL_BLOCKED : TRACE_ALL_BLOCKED & ~one;
}

/*
 * Runs the aimed thread through the call. 0: done; 1: done or not, see `place`, and signal `number` is to be
 * given to it.
 */
static int run(pid_t tid, uint64_t base, enum inject_place *place, int *error, int *number)
{
    uint64_t deadline = sys_now() + (uint64_t)RUN_TIMEOUT_MS * 1000;
    unsigned int pause = 0;

    for (;;) {
        struct user_regs_struct regs;
        int result = trace_continue(tid, 0);

        usleep(pause);
        pause = pause ? 2 * pause : 10;
        if (result == 0)
            result = trace_interrupt(tid);
        while (result == 0 && (result = trace_await(tid, number)) == 1 && *number == SIGSTOP)
            result = trace_continue(tid, SIGSTOP);
        if (result < 0)
            return result;
        if (trace_get_regs(tid, &regs) < 0)
            return -ESRCH;
        *place = inject_place(base, &regs, error);
        if (result == 1 || *place != INJECT_BEFORE)
            return result;
        if (sys_left_ms(deadline) == 0)
            return 0;
    }
}

static int mark_sent(const struct injection *injection)
{
    const uint64_t sent = 1;

    return trace_poke(injection->thread, injection->base + offsetof(struct inject_head, sent), &sent,
                      sizeof(sent));
}

static int aim(const struct injection *injection, const struct detour *context)
{
    struct user_regs_struct regs = context->regs;
    struct inject_order order = injection->order;
    struct inject inject;
    int error;

    order.mask = context->mask;
    inject_build(&inject, injection->base, &order, &context->regs);
    error = write_stub(injection, &inject);
    if (error < 0)
        return error;
    inject_enter(&inject, &regs);
    error = trace_set_regs(injection->thread, &regs);
    return error < 0 ? error : trace_set_mask(injection->thread, mask_for(injection, context->mask));
}

/* With the thread in its stop. `number`: the signal that it is to be let go with. 1: to be tried again. */
static int inject_standing(struct injection *injection, int *number)
{
    pid_t tid = injection->thread;
    struct detour context;
    enum inject_place place = INJECT_BEFORE;
    int failure = 0;
    int given = 0;
    int result = find_room(injection);

    if (result != 0)
        return result < 0 ? result : 0;
    result = detour_begin(tid, &context);
    if (result < 0)
        return result;
    result = aim(injection, &context);
    if (result == 0)
        result = run(tid, injection->base, &place, &failure, &given);
    if (result < 0)
        return result;
    if (place == INJECT_DONE || place == INJECT_OUTSIDE)
        result = mark_sent(injection) < 0 ? -ESRCH : result;
    /* Slower than the stub's patience: it has put itself back. */
    if (place == INJECT_OUTSIDE || result < 0)
        return result < 0 ? result : 0;
    *number = result == 1 ? given : 0;
    result = detour_put_back(tid, &context);
    if (result < 0)
        return result;
    if (place == INJECT_FAILED)
        return failure;
    if (place == INJECT_BEFORE)
        /* A signal of the same number came from elsewhere; or it cannot run. */
        return *number ? 1 : -ETIMEDOUT;
    return 0;
}

int injection_run(struct injection *injection)
{
    int result;

    injection->order.head.magic = INJECT_MAGIC;
    do {
        int number = 0;

        result = trace_stand(injection->thread, 0);
        if (result == 0)
            result = inject_standing(injection, &number);
        if (trace_let_go(injection->thread, number) < 0 && result > 0)
            result = -ESRCH;
    } while (result == 1);
    return result;
}

void injection_wipe(pid_t pid)
{
    static const uint8_t zeros[INJECT_SIZE];
    uint64_t base;
    bool used;
    int error = trace_stand(pid, 0);

    if (error == 0)
        error = proc_padding(pid, INJECT_SIZE, 0, INJECT_MAGIC, &base, &used);
    if (error == 0 && used)
        error = await_leaving(pid, pid, base);
    if (error >= 0 && used)
        error = trace_poke(pid, base, zeros, sizeof(zeros));
    /* What stays is harmless: no program looks there. */
    if (trace_let_go(pid, 0) < 0 || error < 0)
        return;
}
