#include "detour.h"
#include "stub.h"
#include "trace.h"

#include <errno.h>
#include <sys/ptrace.h>
#include <unistd.h>

enum { RSEQ_TRIES = 20 };

int detour_step(pid_t tid, unsigned int microseconds)
{
    int error = trace_continue(tid, 0);

    if (error < 0)
        return error;
    usleep(microseconds);
    return trace_stop(tid);
}

/*
 * A thread in the middle of a restartable sequence must not be led elsewhere and back: the kernel would not
 * see that it was away, and not restart the sequence. So it runs on until it is out.
 */
static int leave_rseq(pid_t tid)
{
    for (int i = 0; i < RSEQ_TRIES; i++) {
        struct __ptrace_rseq_configuration rseq = {0};
        long section;
        int error;

        /* An older kernel cannot tell; sequences of a few instructions are then hit with little chance. */
        if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(rseq), &rseq) < 0 || !rseq.rseq_abi_pointer)
            return 0;
        errno = 0;
        section = ptrace(PTRACE_PEEKDATA, tid, rseq.rseq_abi_pointer + 8, NULL);
        if (errno || section == 0)
            return 0;
        error = detour_step(tid, 10);
        if (error < 0)
            return error;
    }
    return -ETIMEDOUT;
}

/* At once: until then the thread would see the interruption, if we were killed. */
static int mend(pid_t tid)
{
    struct user_regs_struct regs;
    uint64_t result;
    int error = trace_get_regs(tid, &regs);

    if (error < 0)
        return error;
    result = regs.rax;
    regs_undo_interrupt(&regs);
    return regs.rax == result ? 0 : trace_set_regs(tid, &regs);
}

int detour_begin(pid_t tid, struct detour *detour)
{
    int error = mend(tid);

    if (error == 0)
        error = leave_rseq(tid);
    if (error == 0)
        error = trace_get_regs(tid, &detour->regs);
    if (error == 0)
        error = trace_get_mask(tid, &detour->mask);
    if (error < 0)
        return error;
    return regs_are_64_bit(&detour->regs) ? 0 : -ENOEXEC;
}

/* The mask first: as long as the registers lead into the stub, the thread finds back alone. */
int detour_put_back(pid_t tid, const struct detour *detour)
{
    int error = trace_set_mask(tid, detour->mask);

    return error < 0 ? error : trace_set_regs(tid, &detour->regs);
}
