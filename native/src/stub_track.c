/* The part of stub.h that brings a process's userfaultfd to us; see track.c. */
#include "stub.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

/*
 * The thread: until it is back only instructions that leave the flags alone; all else that it changes is loaded
 * from the table at the end. No stack is used. It blocks its signals before the child inherits its mask.
 *
 * The child shares memory and, until it leaves them, descriptors; its end sends no signal, and only a wait for
 * clones sees it. close_range(CLOSE_RANGE_UNSHARE) copies none of the descriptors. Without privileges there is
 * only a userfaultfd that handles no fault of the kernel's own: it makes no difference to asynchronous write
 * protection, of which no fault is ever handled by us.
 */
__asm__(".pushsection .rodata\n"
        "track_code:\n"
        "   .skip 16\n" /* the magic number */
        "track_code_enter:\n"
        "   mov $14, %eax\n" /* rt_sigprocmask(SIG_SETMASK, &all, NULL, 8) */
        "   mov $2, %edi\n"
        "   lea track_t_all(%rip), %rsi\n"
        "   mov $0, %edx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "   mov $56, %eax\n"     /* clone(CLONE_VM | CLONE_FS | CLONE_FILES, NULL, NULL, NULL, 0) */
        "   mov $0x700, %edi\n"
        "   mov $0, %esi\n"
        "   mov $0, %edx\n"
        "   mov $0, %r10d\n"
        "   mov $0, %r8d\n"
        "   syscall\n"
        "track_code_cloned:\n"
        "   mov %rax, %r8\n"
        "track_code_kept:\n"
        "   mov %rax, %rcx\n"
        "   jrcxz 3f\n"
        "   jmp 4f\n"
        "3: jmp track_code_child\n"
        "4: cqo\n" /* rdx: -1 after a failure, else 0 */
        "   mov %rdx, %rcx\n"
        "   not %rcx\n"
        "   jrcxz track_code_met\n"
        "   mov $61, %eax\n" /* wait4(r8, NULL, __WALL, NULL) */
        "   mov %r8, %rdi\n"
        "   mov $0, %esi\n"
        "   mov $0x40000000, %edx\n"
        "   mov $0, %r10d\n"
        "   syscall\n"
        "track_code_waited:\n"
        "track_code_met:\n"
        "1: mov $128, %eax\n" /* rt_sigtimedwait(&none, NULL, &patience, 8), again after each EINTR */
        "   lea track_t_none(%rip), %rdi\n"
        "   mov $0, %esi\n"
        "   lea track_t_patience(%rip), %rdx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "   lea 4(%rax), %rcx\n"
        "   jrcxz 1b\n"
        "track_code_leave:\n"
        "   mov $14, %eax\n" /* rt_sigprocmask(SIG_SETMASK, &mask, NULL, 8) */
        "   mov $2, %edi\n"
        "   lea track_t_mask(%rip), %rsi\n"
        "   mov $0, %edx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "   mov track_t_rax(%rip), %rax\n"
        "   mov track_t_rdi(%rip), %rdi\n"
        "   mov track_t_rsi(%rip), %rsi\n"
        "   mov track_t_rdx(%rip), %rdx\n"
        "   mov track_t_r10(%rip), %r10\n"
        "   mov track_t_r8(%rip), %r8\n"
        "   mov track_t_rcx(%rip), %rcx\n"
        "   mov track_t_r11(%rip), %r11\n"
        "   jmp *track_t_rip(%rip)\n"

        "track_code_child:\n"
        "   mov $436, %eax\n" /* close_range(0, ~0, CLOSE_RANGE_UNSHARE) */
        "   mov $0, %edi\n"
        "   mov $0xffffffff, %esi\n"
        "   mov $2, %edx\n"
        "   syscall\n"
        "   mov %rax, %r8\n"
        "   test %rax, %rax\n"
        "   jnz 2f\n"
        "   mov $323, %eax\n" /* userfaultfd(O_CLOEXEC | O_NONBLOCK) */
        "   mov $0x80800, %edi\n"
        "   syscall\n"
        "   mov %rax, %r8\n"
        "   cmp $-1, %rax\n" /* -EPERM: with UFFD_USER_MODE_ONLY */
        "   jne 2f\n"
        "   mov $323, %eax\n"
        "   mov $0x80801, %edi\n"
        "   syscall\n"
        "   mov %rax, %r8\n"
        "2: mov $128, %eax\n" /* as above; r8 is read by track_offers() */
        "   lea track_t_none(%rip), %rdi\n"
        "   mov $0, %esi\n"
        "   lea track_t_patience(%rip), %rdx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "track_code_offered:\n"
        "   cmp $-4, %rax\n"
        "   je 2b\n"
        "   mov $60, %eax\n" /* exit(0) */
        "   mov $0, %edi\n"
        "   syscall\n"
        "track_code_left:\n"
        "   .balign 16\n"
        "track_t_start:\n"
        "track_t_all: .quad 0\n"
        "track_t_none: .quad 0\n"
        "track_t_patience: .quad 0, 0\n"
        "track_t_mask: .quad 0\n"
        "track_t_rax: .quad 0\n"
        "track_t_rdi: .quad 0\n"
        "track_t_rsi: .quad 0\n"
        "track_t_rdx: .quad 0\n"
        "track_t_r10: .quad 0\n"
        "track_t_r8: .quad 0\n"
        "track_t_rcx: .quad 0\n"
        "track_t_r11: .quad 0\n"
        "track_t_rip: .quad 0\n"
        "track_code_end:\n"
        "   .org track_code + 512\n" /* TRACK_SIZE: an error if it is more */
        ".popsection\n");

extern const uint8_t track_code[], track_code_enter[], track_code_cloned[], track_code_kept[],
    track_code_waited[], track_code_leave[], track_code_child[], track_code_offered[], track_code_left[], track_t_start[],
    track_code_end[];

/* The table at track_t_start. */
struct track_table {
    uint64_t all, none, patience[2], mask;
    uint64_t rax, rdi, rsi, rdx, r10, r8, rcx, r11, rip;
};
_Static_assert(sizeof(struct track_table) == 14 * 8, "as laid out in the assembler text");

enum {
    PATIENCE_NS = 500000000,
    /* The kernel's own errno values of an interrupted system call. */
    ERESTARTSYS = 512,
    ERESTART_RESTARTBLOCK = 516,
    NO_TIMEOUT = -1,
};

static size_t offset(const uint8_t *label)
{
    return (size_t)(label - track_code);
}

void track_build(struct track_stub *stub, uint64_t base, uint64_t mask, const struct user_regs_struct *regs)
{
    const uint64_t magic = TRACK_MAGIC;
    struct user_regs_struct back = *regs;
    struct track_table table = {.all = ~0ULL, .patience = {0, PATIENCE_NS}, .mask = mask};

    regs_restart(&back);
    table.rax = back.rax;
    table.rdi = back.rdi;
    table.rsi = back.rsi;
    table.rdx = back.rdx;
    table.r10 = back.r10;
    table.r8 = back.r8;
    table.rcx = back.rcx;
    table.r11 = back.r11;
    table.rip = back.rip;
    memset(stub, 0, sizeof(*stub));
    stub->base = base;
    _Static_assert(TRACK_SIZE % 16 == 0, "proc_padding() aligns by its size");
    memcpy(stub->bytes, track_code, offset(track_code_end));
    memcpy(stub->bytes, &magic, sizeof(magic));
    memcpy(stub->bytes + offset(track_t_start), &table, sizeof(table));
}

void track_enter(uint64_t base, struct user_regs_struct *regs)
{
    regs->rip = base + offset(track_code_enter);
    regs->orig_rax = ~0ULL; /* no system call is to be restarted */
}

/* A result of clone. */
static enum track_place after_clone(long result, long *child)
{
    *child = result;
    /* Interrupted, and not done. */
    if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK)
        return TRACK_BEFORE;
    return result < 0 ? TRACK_FAILED : TRACK_WAITS;
}

enum track_place track_place(uint64_t base, const struct user_regs_struct *regs, long *child)
{
    uint64_t at = regs->rip - base;

    *child = 0;
    if (at < offset(track_code_enter) || at >= offset(track_code_child))
        return TRACK_OUTSIDE;
    if (at < offset(track_code_cloned))
        return TRACK_BEFORE;
    if (at < offset(track_code_kept))
        return after_clone((long)regs->rax, child);
    if (at >= offset(track_code_leave))
        return TRACK_DONE;
    *child = (long)regs->r8;
    if (*child < 0)
        return TRACK_FAILED;
    if (at < offset(track_code_waited))
        return TRACK_WAITS;
    /* Its wait was interrupted, and goes on by the kernel's word. */
    if (at == offset(track_code_waited) && (long)regs->rax == -ERESTARTSYS)
        return TRACK_WAITS;
    return TRACK_DONE;
}

bool track_waits(uint64_t base, const struct proc_call *call, long *child)
{
    if (!call->blocked || !track_is_inside(base, call))
        return false;
    *child = call->number == SYS_wait4 ? (long)call->arguments[0] : 0;
    return call->number == SYS_wait4 || call->number == SYS_rt_sigtimedwait;
}

bool track_offers(uint64_t base, const struct proc_call *call, long *fd)
{
    *fd = (long)call->arguments[4];
    return call->blocked && call->number == SYS_rt_sigtimedwait && call->ip == base + offset(track_code_offered);
}

bool track_is_inside(uint64_t base, const struct proc_call *call)
{
    return call->ip - base < offset(track_code_end);
}

int call_rank(const struct proc_call *call)
{
    if (!call->blocked)
        return CALL_RUNS;
    switch (call->number) {
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_wait4:
    case SYS_waitid:
        return CALL_GOES_ON;
    case SYS_futex:
        return (call->arguments[1] & FUTEX_CMD_MASK) <= FUTEX_WAIT_BITSET ? CALL_GOES_ON : CALL_UNKNOWN;
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return (int)call->arguments[3] == NO_TIMEOUT ? CALL_MENDED : CALL_HARMED;
    case SYS_epoll_pwait2:
    case SYS_semtimedop:
        return call->arguments[3] == 0 ? CALL_MENDED : CALL_HARMED;
    case SYS_rt_sigtimedwait:
        return call->arguments[2] == 0 ? CALL_MENDED : CALL_HARMED;
    case SYS_semop:
        return CALL_MENDED;
    default:
        return CALL_UNKNOWN;
    }
}
