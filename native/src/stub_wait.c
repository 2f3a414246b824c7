/* The half of stub.h that begins timed waits again; see waits.h. */
#include "stub.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

enum {
    /* The kernel's own errno values of an interrupted system call. */
    ERESTARTNOHAND = 514,
    ERESTART_RESTARTBLOCK = 516,
    SYSCALL_INSTRUCTION = 0x050f,
    SYSCALL_INSTRUCTION_SIZE = 2,
};

uint64_t wait_shortened(const struct user_regs_struct *regs, long number)
{
    /* Settled, see regs_undo_repetition(), or not yet. */
    if ((long)regs->rax != -ERESTARTNOHAND && (long)regs->rax != number)
        return 0;
    switch (number) {
    case SYS_select:
    case SYS_pselect6:
        return regs->r8;
    case SYS_ppoll:
        return regs->rdx;
    default:
        return 0;
    }
}

bool wait_counts_micros(long number)
{
    return number == SYS_select;
}

bool wait_failed(const struct user_regs_struct *regs, uint64_t code)
{
    return (long)regs->rax == -EINTR && (code & 0xffff) == SYSCALL_INSTRUCTION;
}

void wait_call(struct user_regs_struct *regs, long number, uint64_t left, uint64_t time)
{
    regs->rip -= SYSCALL_INSTRUCTION_SIZE;
    regs->orig_rax = ~0ULL; /* nothing is to be restarted */
    regs->rax = (uint64_t)number;
    switch (number) {
    case SYS_nanosleep:
        regs->rdi = time;
        break;
    case SYS_clock_nanosleep:
        regs->rdx = time;
        break;
    case SYS_poll:
        regs->rdx = (left + 999999) / 1000000;
        break;
    case SYS_futex:
        if ((regs->rsi & FUTEX_CMD_MASK) == FUTEX_WAIT)
            regs->r10 = time; /* that of FUTEX_WAIT_BITSET is a point in time, and stays */
        break;
    default:
        break;
    }
}

void wait_result(struct user_regs_struct *regs, const struct user_regs_struct *called, long number)
{
    regs->rax = called->rax;
    /* Else it is over: the time, or what it has waited for has come. */
    if ((long)called->rax == -ERESTART_RESTARTBLOCK)
        regs->orig_rax = (uint64_t)number;
}
