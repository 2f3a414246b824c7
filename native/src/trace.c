#include "trace.h"
#include "sys.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { EXIT_STOP_MS = 100 };

/* glibc declares the request an enum and the rest variadic; one place to get that right. */
static int request(enum __ptrace_request what, pid_t tid, void *address, void *data)
{
    return ptrace(what, tid, address, data) < 0 ? -errno : 0;
}

static void *word(unsigned long value)
{
    return (void *)value;
}

int trace_seize(pid_t tid, unsigned long options)
{
    return request(PTRACE_SEIZE, tid, NULL, word(options));
}

int trace_interrupt(pid_t tid)
{
    siginfo_t event = {0};

    /*
     * In a stop already (a stopped process stands as soon as it is seized): to interrupt it now would be to
     * stop it again, after the next instruction or none, and so on with each further try.
     */
    if (waitid(P_PID, (id_t)tid, &event, WEXITED | WSTOPPED | WNOWAIT | WNOHANG | __WALL) == 0 &&
        event.si_pid)
        return 0;
    return request(PTRACE_INTERRUPT, tid, NULL, NULL);
}

/* Reaps it, or makes waitpid() forget this stop. */
static int consume(pid_t tid)
{
    int status;

    while (waitpid(tid, &status, __WALL) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

int trace_await(pid_t tid, int *number)
{
    for (;;) {
        siginfo_t event;
        int error;

        /*
         * WNOWAIT leaves the stop's exit code in place, and with it the signal: the kernel delivers that one
         * if we die. A stop that was waited for has lost it.
         */
        if (waitid(P_PID, (id_t)tid, &event, WEXITED | WSTOPPED | WNOWAIT | __WALL) < 0) {
            if (errno == EINTR)
                continue;
            return errno == ECHILD ? -ESRCH : -errno;
        }
        if (event.si_code != CLD_TRAPPED && event.si_code != CLD_STOPPED)
            break;
        if (event.si_status >> 8 == 0) {
            *number = event.si_status;
            return 1;
        }
        if (event.si_status >> 8 == PTRACE_EVENT_STOP)
            return consume(tid);
        if (event.si_status >> 8 == PTRACE_EVENT_EXIT)
            return -ESRCH;
        /* An event that the caller asked for, but not here. */
        error = trace_continue(tid, 0);
        if (error < 0)
            return error;
    }
    return consume(tid) < 0 ? -EIO : -ESRCH;
}

int trace_stop(pid_t tid)
{
    int number;
    int result = trace_interrupt(tid);

    while (result == 0 && (result = trace_await(tid, &number)) == 1)
        result = trace_continue(tid, number);
    return result;
}

int trace_stand(pid_t tid, unsigned long options)
{
    int error = trace_seize(tid, options | PTRACE_O_TRACEEXIT);

    return error < 0 ? error : trace_stop(tid);
}

int trace_continue(pid_t tid, int number)
{
    return request(PTRACE_CONT, tid, NULL, word((unsigned long)number));
}

int trace_detach(pid_t tid, int number)
{
    return request(PTRACE_DETACH, tid, NULL, word((unsigned long)number));
}

int trace_to_call(pid_t tid)
{
    int status;
    int error = request(PTRACE_SYSCALL, tid, NULL, NULL);

    if (error < 0)
        return error;
    while (waitpid(tid, &status, __WALL) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    if (!WIFSTOPPED(status))
        return -ESRCH;
    return status >> 8 == (SIGTRAP | 0x80) ? 0 : -EINTR;
}

int trace_interrupt_now(pid_t tid)
{
    return request(PTRACE_INTERRUPT, tid, NULL, NULL);
}

/* Killed in its stop, and on its way to the exit stop, where it would stand for ever if we just left. */
static int let_end(pid_t tid)
{
    uint64_t deadline = sys_now() + (uint64_t)EXIT_STOP_MS * 1000;

    for (;;) {
        siginfo_t event = {0};

        if (waitid(P_PID, (id_t)tid, &event, WEXITED | WSTOPPED | WNOWAIT | WNOHANG | __WALL) < 0) {
            if (errno != EINTR)
                return errno == ECHILD ? -ESRCH : -errno;
        } else if (event.si_code == CLD_TRAPPED || event.si_code == CLD_STOPPED) {
            int number = event.si_status >> 8 ? 0 : event.si_status;
            int error = trace_detach(tid, number);

            /* Between two stops: killed in this one as well. */
            if (error != -ESRCH)
                return error < 0 ? error : -ESRCH;
        } else if (event.si_pid) {
            return consume(tid) < 0 ? -EIO : -ESRCH;
        }
        /* A leader that has passed its exit stop waits for its other threads, and for nothing of us. */
        if (sys_left_ms(deadline) == 0)
            return -ESRCH;
        sys_sleep_ms(1);
    }
}

int trace_let_go(pid_t tid, int number)
{
    int error = trace_detach(tid, number);

    return error == -ESRCH ? let_end(tid) : error;
}

int trace_get_regs(pid_t tid, struct user_regs_struct *regs)
{
    return request(PTRACE_GETREGS, tid, NULL, regs);
}

int trace_set_regs(pid_t tid, const struct user_regs_struct *regs)
{
    struct user_regs_struct copy = *regs;

    return request(PTRACE_SETREGS, tid, NULL, &copy);
}

int trace_get_mask(pid_t tid, uint64_t *mask)
{
    return request(PTRACE_GETSIGMASK, tid, word(sizeof(*mask)), mask);
}

int trace_set_mask(pid_t tid, uint64_t mask)
{
    return request(PTRACE_SETSIGMASK, tid, word(sizeof(mask)), &mask);
}

int trace_poke(pid_t tid, uint64_t address, const void *data, size_t size)
{
    const char *from = data;

    for (size_t done = 0; done < size; done += sizeof(unsigned long)) {
        unsigned long value;
        int error;

        memcpy(&value, from + done, sizeof(value));
        error = request(PTRACE_POKEDATA, tid, word(address + done), word(value));
        if (error < 0)
            return error;
    }
    return 0;
}

int trace_peek_signals(pid_t tid, bool shared, size_t from, siginfo_t *list, int size)
{
    struct __ptrace_peeksiginfo_args wanted = {
        .off = from,
        .flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0,
        .nr = size,
    };
    long n = ptrace(PTRACE_PEEKSIGINFO, tid, &wanted, list);

    return n < 0 ? -errno : (int)n;
}
