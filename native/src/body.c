#include "body.h"
#include "deputy.h"
#include "lines.h"
#include "siginfo.h"
#include "stub.h"
#include "sys.h"
#include "trace.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

enum {
    BECOME_TIMEOUT_MS = 10000,
    WAIT_TIMEOUT_MS = 1000,
    END_TIMEOUT_MS = 2000,
    PEEK_COUNT = 16,
};

/* No PTRACE_O_EXITKILL: see body.h. TRACEEXIT: a last look at what was sent to a thread before exec ends it.
 */
static const unsigned long options = PTRACE_O_TRACEEXEC;

/* What was told of a thread. */
struct told {
    unsigned int listed[_NSIG]; /* how many of each number were in its queue */
    uint64_t unlisted;          /* numbers that were pending, but in no list */
};

static bool stands_already(const struct body *body, pid_t tid)
{
    for (size_t i = 0; i < body->threads.count; i++) {
        if (body->threads.list[i] == tid)
            return true;
    }
    return false;
}

/* A leader that has ended while others go on cannot be attached, and has nothing left to do. */
static bool has_ended(pid_t pid, pid_t tid)
{
    struct proc_status status;

    return proc_status(pid, tid, &status) < 0 || status.state == 'Z' || status.state == 'X';
}

/* Attaches what is not attached. The number of new ones. */
static int stand_once(struct body *body)
{
    struct pids threads = {0};
    int added = 0;
    int error = proc_threads(body->pid, &threads);

    for (size_t i = 0; error == 0 && i < threads.count; i++) {
        pid_t tid = threads.list[i];

        if (stands_already(body, tid) || has_ended(body->pid, tid))
            continue;
        error = trace_stand(tid, options);
        if (error == 0)
            error = pids_add(&body->threads, tid);
        if (error == 0)
            added++;
        else if (error == -ESRCH)
            error = 0;
    }
    pids_free(&threads);
    if (error == -ENOENT)
        return -ESRCH;
    return error < 0 ? error : added;
}

int body_stand(struct body *body)
{
    int added;

    /* A frozen process makes no threads; the second look is proof of it. */
    do {
        added = stand_once(body);
        if (added < 0)
            return added;
    } while (added > 0);
    if (body->threads.count == 0)
        return -ESRCH;
    body->executor = stands_already(body, body->pid) ? body->pid : body->threads.list[0];
    body->told = calloc(body->threads.count, sizeof(*body->told));
    return body->told ? 0 : -ENOMEM;
}

static void tell(const struct body *body, pid_t tid, const siginfo_t *info)
{
    char text[SIGINFO_TEXT];

    if (siginfo_is_own(info, body->pid))
        return;
    siginfo_print(info, text);
    line_say(1, "held %d %d %s", body->pid, tid, text);
}

/*
 * Past the limit of queued signals the kernel remembers a standard signal by its number alone. No list has
 * it; its receiver would see it sent by nobody, as here.
 */
static void tell_unlisted(const struct body *body, pid_t tid, uint64_t unlisted)
{
    for (int number = 1; number < _NSIG; number++) {
        siginfo_t info = {.si_signo = number, .si_code = SI_USER};

        if (unlisted >> (number - 1) & 1 && number != SIGKILL)
            tell(body, tid, &info);
    }
}

/*
 * What came since the last look at this thread's private queue. Blocked, none leaves it, but for a SIGCONT
 * and the stop signals, which wipe each other out: so they are counted by number.
 */
static int tell_thread(struct body *body, size_t index)
{
    pid_t tid = body->threads.list[index];
    struct told *told = &body->told[index];
    struct proc_status status;
    unsigned int listed[_NSIG] = {0};
    uint64_t offset = 0;
    int error = proc_status(body->pid, tid, &status); /* first: what it shows is in the list, if in any */
    int n;

    if (error < 0)
        return error;
    do {
        siginfo_t list[PEEK_COUNT];

        n = trace_peek_signals(tid, false, offset, list, PEEK_COUNT);
        for (int i = 0; i < n; i++) {
            int number = list[i].si_signo;

            status.pending &= ~(1ULL << (number - 1));
            if (listed[number]++ >= told->listed[number])
                tell(body, tid, &list[i]);
        }
        if (n > 0)
            offset += (uint64_t)n;
    } while (n == PEEK_COUNT);
    if (n < 0)
        return n;
    memcpy(told->listed, listed, sizeof(listed));
    tell_unlisted(body, tid, status.pending & ~told->unlisted);
    told->unlisted = status.pending;
    return 0;
}

int body_tell_held(struct body *body)
{
    for (size_t i = 0; i < body->threads.count; i++) {
        int error;

        if (body->threads.list[i] == body->executor)
            continue;
        error = tell_thread(body, i);
        if (error < 0)
            return error;
    }
    return 0;
}

static int build(const struct body *body, const struct body_plan *plan, struct become *become)
{
    char id[256];
    char socket[256];
    const char *argv[] = {plan->title, NULL};
    const char *envp[] = {id, socket, DEPUTY_ENV_STANDS "=" DEPUTY_STANDS_NOT, NULL};
    uint64_t base;
    int error = proc_code_area(body->pid, sizeof(become->bytes), &base);

    if (error < 0)
        return error;
    snprintf(id, sizeof(id), "%s=%s", DEPUTY_ENV_ID, plan->id);
    snprintf(socket, sizeof(socket), "%s=%s", DEPUTY_ENV_SOCKET, plan->socket);
    return become_build(become, base, plan->program, argv, envp);
}

int body_aim(struct body *body, const struct body_plan *plan)
{
    static struct become become;
    int error = build(body, plan, &become);

    body->keeps = plan->keep_memory ? become.base : 0;
    if (error == 0)
        error = trace_poke(body->executor, become.base, become.bytes, become.used);
    for (size_t i = 0; error == 0 && i < body->threads.count; i++) {
        pid_t tid = body->threads.list[i];
        struct user_regs_struct regs;

        error = trace_set_mask(tid, TRACE_ALL_BLOCKED);
        if (error == 0)
            error = trace_get_regs(tid, &regs);
        if (error < 0)
            break;
        if (tid == body->executor)
            become_enter(&become, plan->keep_memory, &regs);
        else
            become_wait(&become, &regs);
        error = trace_set_regs(tid, &regs);
    }
    return error;
}

static void sleep_until_child(uint64_t deadline)
{
    struct timespec left = {0};
    sigset_t child;
    int ms = sys_left_ms(deadline);

    left.tv_sec = ms / 1000;
    left.tv_nsec = (long)(ms % 1000) * 1000000;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    /* The caller has it blocked. Whatever comes back: the next round looks. */
    if (sigtimedwait(&child, NULL, &left) < 0)
        return;
}

/*
 * What is sent to a thread between this last look and its being unhashed is lost, as the kernel loses it for any
 * thread that ends. So nobody may come in between: it ends before any other task of its processor runs (which
 * not every host allows; then it is only a little later), and it does not wait for us to reap it.
 */
static int let_end(struct body *body, pid_t tid)
{
    const struct sched_param at_once = {.sched_priority = 1};

    if (sched_setscheduler(tid, SCHED_FIFO, &at_once) < 0 && errno == ESRCH)
        return 0;
    for (size_t i = 0; i < body->threads.count; i++) {
        if (body->threads.list[i] == tid && tell_thread(body, i) < 0)
            line_say(1, "error cannot list the last signals of thread %d", tid);
    }
    return trace_detach(tid, 0);
}

/* A stop on the way. 1: arrived. */
static int on_stop(struct body *body, pid_t tid, int status)
{
    int event = status >> 16;
    int error;

    if (event == PTRACE_EVENT_EXEC)
        return 1;
    if (event == PTRACE_EVENT_EXIT && tid != body->executor) {
        error = let_end(body, tid);
        return error == -ESRCH ? 0 : error;
    }
    /*
     * A signal here can only be SIGSTOP. A stop of all threads is called off by exec, so it is kept for
     * afterwards. (A stop from before is in force, is run through, and comes back when we let go.)
     */
    if (event == 0 && WSTOPSIG(status) == SIGSTOP)
        body->stopped = true;
    error = trace_continue(tid, 0);
    return error == -ESRCH ? 0 : error;
}

/* A SIGCONT since then has undone the stop, and would itself be undone by it. */
static void stop_again(const struct body *body)
{
    struct proc_status status;

    if (!body->stopped || proc_status(body->pid, body->pid, &status) < 0)
        return;
    if (!((status.shared | status.pending) >> (SIGCONT - 1) & 1) && kill(body->pid, SIGSTOP) < 0)
        line_say(1, "error cannot stop %d again", body->pid);
}

/* All threads but the one that executes, or what is left of them, are where their end leaves no trace in the memory. */
static bool others_wait(const struct body *body)
{
    for (size_t i = 0; i < body->threads.count; i++) {
        pid_t tid = body->threads.list[i];
        struct proc_call call;

        if (tid != body->executor && !has_ended(body->pid, tid) && proc_call(body->pid, tid, &call) == 0 &&
            !become_waits(body->keeps, &call))
            return false;
    }
    return true;
}

/* If that takes too long (one was stopped), the stub's own 100 ms have to do. */
static int let_others_wait(const struct body *body)
{
    uint64_t deadline = sys_now() + (uint64_t)WAIT_TIMEOUT_MS * 1000;
    struct user_regs_struct regs;
    int error;

    for (size_t i = 0; i < body->threads.count; i++) {
        if (body->threads.list[i] == body->executor)
            continue;
        error = trace_continue(body->threads.list[i], 0);
        if (error < 0 && error != -ESRCH)
            return error;
    }
    while (!others_wait(body)) {
        if (sys_left_ms(deadline) == 0)
            return 0;
        sys_sleep_ms(1);
    }
    error = trace_get_regs(body->executor, &regs);
    if (error < 0)
        return error;
    become_hurry(body->keeps, &regs);
    return trace_set_regs(body->executor, &regs);
}

int body_become(struct body *body, int *status)
{
    uint64_t deadline = sys_now() + (uint64_t)BECOME_TIMEOUT_MS * 1000;
    int error = body->keeps ? let_others_wait(body) : 0;

    if (error == 0)
        error = trace_continue(body->executor, 0);
    if (error < 0 && error != -ESRCH)
        return error;
    for (;;) {
        int result;
        pid_t tid = waitpid(-1, &result, __WALL | WNOHANG);

        if (tid > 0 && WIFSTOPPED(result)) {
            error = on_stop(body, tid, result);
            if (error < 0)
                return error;
            if (error == 1)
                break;
        } else if (tid > 0 && tid == body->pid) {
            *status = result;
            return -ECHILD;
        } else if (tid < 0 && errno != EINTR) {
            return -errno;
        } else if (tid == 0) {
            if (sys_left_ms(deadline) == 0)
                return -ETIMEDOUT;
            sleep_until_child(deadline);
        }
    }
    body->threads.count = 0;
    stop_again(body);
    return trace_detach(body->pid, 0);
}

static void await_end(pid_t pid, int *status)
{
    uint64_t deadline = sys_now() + (uint64_t)END_TIMEOUT_MS * 1000;

    for (;;) {
        int result;
        pid_t tid = waitpid(-1, &result, __WALL | WNOHANG);

        if ((tid < 0 && errno != EINTR) || (tid == 0 && sys_left_ms(deadline) == 0))
            return;
        if (tid == 0) {
            sleep_until_child(deadline);
        } else if (tid > 0 && !WIFSTOPPED(result)) {
            *status = tid == pid ? result : *status;
        } else if (tid > 0) {
            unsigned long end;

            /* Let go here, it is its parent's; its status is known already. */
            if (result >> 16 == PTRACE_EVENT_EXIT && ptrace(PTRACE_GETEVENTMSG, tid, NULL, &end) == 0)
                *status = (int)end;
            if (trace_detach(tid, 0) < 0)
                continue;
        }
    }
}

void body_free(struct body *body, bool dying, int *status)
{
    if (dying)
        await_end(body->pid, status);
    for (size_t i = 0; i < body->threads.count; i++) {
        /* Running, or gone: then there is nothing to let go of here; what runs is let go at our own end. */
        if (trace_detach(body->threads.list[i], 0) < 0)
            continue;
    }
    pids_free(&body->threads);
    free(body->told);
    body->told = NULL;
}
