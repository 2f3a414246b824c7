#include "stub.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#define SLEEP_100_MS \
    "   mov $7, %eax\n" /* poll(NULL, 0, 100) */ \
    "   xor %edi, %edi\n" \
    "   xor %esi, %esi\n" \
    "   mov $100, %edx\n" \
    "   syscall\n"

/* The kernel writes nothing into the memory at the end of a thread that has done this. */
#define NO_FAREWELL \
    "   mov $218, %eax\n" /* set_tid_address(NULL) */ \
    "   xor %edi, %edi\n" \
    "   syscall\n" \
    "   mov $273, %eax\n" /* set_robust_list(NULL, 24) */ \
    "   xor %edi, %edi\n" \
    "   mov $24, %esi\n" \
    "   syscall\n"

/*
 * become: r12 is executed with r13 and r14. A failure (no memory, the program busy or not there) is tried
 * again ten times a second: to stand here keeps the PID, to exit would tell the parent a lie.
 *
 * become_wait: sees to it that the kernel writes nothing into the memory at the thread's end (its TID's place and
 * its robust futexes would tell others of it, and the memory may live on), and waits.
 *
 * become_keep: does the same, and makes a child with the same memory, whose end sends no signal, and which is named
 * and waits for ever. It leaves the descriptors, ends with its parent (and should that have ended before it said
 * so), and touches no memory. become_late is the same after 100 ms, in which the other threads get to wait.
 *
 * inject: only instructions that leave the flags alone (no add, no compare), as those are the interrupted
 * code's. Everything else it changes is loaded from its table at the end. The system call is repeated until
 * it succeeds. The wait is rt_sigtimedwait for no signal at all, begun anew when we (and be it with our last
 * breath) have stopped it: unlike nanosleep and poll it does not touch
 * the thread's restart block, which an interrupted nanosleep or poll still needs.
 */
__asm__(".pushsection .rodata\n"
        "become_code:\n"
        "1: mov $59, %eax\n" /* execve */
        "   mov %r12, %rdi\n"
        "   mov %r13, %rsi\n"
        "   mov %r14, %rdx\n"
        "   syscall\n"
        SLEEP_100_MS
        "   jmp 1b\n"
        "become_wait_code:\n"
        NO_FAREWELL
        "2: mov $34, %eax\n" /* pause */
        "   syscall\n"
        "become_waits_code:\n"
        "   jmp 2b\n"
        "become_late_code:\n"
        SLEEP_100_MS
        "become_keep_code:\n"
        NO_FAREWELL
        "   mov $39, %eax\n" /* getpid */
        "   syscall\n"
        "   mov %eax, %r15d\n"
        "   mov $20, %ebx\n"
        "6: mov $56, %eax\n"     /* clone(CLONE_VM | CLONE_FILES, NULL, NULL, NULL, 0) */
        "   mov $0x500, %edi\n"
        "   xor %esi, %esi\n"
        "   xor %edx, %edx\n"
        "   xor %r10d, %r10d\n"
        "   xor %r8d, %r8d\n"
        "   syscall\n"
        "   test %rax, %rax\n"
        "   jz 8f\n"
        "   jns become_code\n"
        "   dec %ebx\n" /* no memory, too many processes: that may pass within two seconds */
        "   jz become_code\n"
        SLEEP_100_MS
        "   jmp 6b\n"
        "8: mov $436, %eax\n" /* close_range(0, ~0, CLOSE_RANGE_UNSHARE) */
        "   xor %edi, %edi\n"
        "   mov $0xffffffff, %esi\n"
        "   mov $2, %edx\n"
        "   syscall\n"
        "   test %rax, %rax\n"
        "   jnz 7f\n"
        "   mov $157, %eax\n" /* prctl(PR_SET_PDEATHSIG, SIGKILL) */
        "   mov $1, %edi\n"
        "   mov $9, %esi\n"
        "   syscall\n"
        "   mov $110, %eax\n" /* getppid */
        "   syscall\n"
        "   cmp %eax, %r15d\n"
        "   jne 7f\n"
        "   mov $157, %eax\n" /* prctl(PR_SET_NAME, name) */
        "   mov $15, %edi\n"
        "   lea become_keep_name(%rip), %rsi\n"
        "   syscall\n"
        "   jmp become_wait_code\n"
        "7: mov $60, %eax\n" /* exit(1) */
        "   mov $1, %edi\n"
        "   syscall\n"
        "become_keep_name: .asciz \"" MEMORY_NAME "\"\n"
        "become_code_end:\n"

        "inject_code:\n"
        "   .skip 32\n" /* struct inject_head */
        "inject_code_enter:\n"
        "4: mov inject_t_number(%rip), %rax\n"
        "   mov inject_t_first(%rip), %rdi\n"
        "   mov inject_t_second(%rip), %rsi\n"
        "   mov inject_t_third(%rip), %rdx\n"
        "   mov inject_t_fourth(%rip), %r10\n"
        "   syscall\n"
        "inject_code_called:\n"
        "   xchg %rax, %rcx\n"
        "inject_code_swapped:\n"
        "   jrcxz inject_code_sent\n"
        "   jmp 4b\n"
        "inject_code_sent:\n"
        "5: mov $128, %eax\n" /* rt_sigtimedwait(&none, NULL, &second, 8), again after each EINTR */
        "   lea inject_t_none(%rip), %rdi\n"
        "   mov $0, %esi\n"
        "   lea inject_t_second_long(%rip), %rdx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "   lea 4(%rax), %rcx\n"
        "   jrcxz 5b\n"
        "inject_code_leave:\n"
        "   mov $14, %eax\n" /* rt_sigprocmask(SIG_SETMASK, &mask, NULL, 8) */
        "   mov $2, %edi\n"
        "   lea inject_t_mask(%rip), %rsi\n"
        "   mov $0, %edx\n"
        "   mov $8, %r10d\n"
        "   syscall\n"
        "   mov inject_t_rax(%rip), %rax\n"
        "   mov inject_t_rdi(%rip), %rdi\n"
        "   mov inject_t_rsi(%rip), %rsi\n"
        "   mov inject_t_rdx(%rip), %rdx\n"
        "   mov inject_t_r10(%rip), %r10\n"
        "   mov inject_t_rcx(%rip), %rcx\n"
        "   mov inject_t_r11(%rip), %r11\n"
        "   jmp *inject_t_rip(%rip)\n"
        "inject_code_left:\n"
        "   .balign 16\n"
        "inject_t_start:\n"
        "inject_t_number: .quad 0\n"
        "inject_t_first: .quad 0\n"
        "inject_t_second: .quad 0\n"
        "inject_t_third: .quad 0\n"
        "inject_t_fourth: .quad 0\n"
        "inject_t_mask: .quad 0\n"
        "inject_t_none: .quad 0\n"
        "inject_t_second_long: .quad 1, 0\n"
        "inject_t_rax: .quad 0\n"
        "inject_t_rdi: .quad 0\n"
        "inject_t_rsi: .quad 0\n"
        "inject_t_rdx: .quad 0\n"
        "inject_t_r10: .quad 0\n"
        "inject_t_rcx: .quad 0\n"
        "inject_t_r11: .quad 0\n"
        "inject_t_rip: .quad 0\n"
        "inject_t_info: .skip 128\n"
        "inject_code_end:\n"
        ".popsection\n");

extern const uint8_t become_code[], become_wait_code[], become_waits_code[], become_late_code[], become_keep_code[],
    become_code_end[];
extern const uint8_t inject_code[], inject_code_enter[], inject_code_called[], inject_code_swapped[];
extern const uint8_t inject_code_sent[], inject_code_leave[], inject_code_left[], inject_t_start[],
    inject_code_end[];

/* The table at inject_t_start. */
struct inject_table {
    uint64_t number, first, second, third, fourth;
    uint64_t mask, none, timeout[2];
    uint64_t rax, rdi, rsi, rdx, r10, rcx, r11, rip;
    siginfo_t info;
};
_Static_assert(sizeof(struct inject_table) == 17 * 8 + 128, "as laid out in the assembler text");

enum {
    USER_CS = 0x33,
    USER_DS = 0x2b,
    FLAGS = 0x202, /* interrupts on, as always in user space */
    /* The kernel's own errno values of an interrupted system call. */
    ERESTARTSYS = 512,
    ERESTARTNOINTR = 513,
    ERESTARTNOHAND = 514,
    ERESTART_RESTARTBLOCK = 516,
    SYSCALL_INSTRUCTION = 0x050f,
    SYSCALL_INSTRUCTION_SIZE = 2,
};

static size_t offset(const uint8_t *from, const uint8_t *label)
{
    return (size_t)(label - from);
}

/* Appends, aligned to a word. The address in the target, or 0 if there is no room. */
static uint64_t append(struct become *become, const void *data, size_t size)
{
    uint64_t address = become->base + become->used;

    if (size > sizeof(become->bytes) - become->used)
        return 0;
    memcpy(become->bytes + become->used, data, size);
    become->used = (become->used + size + 7) & ~(size_t)7;
    return address;
}

static uint64_t append_words(struct become *become, const char *const words[])
{
    uint64_t addresses[16] = {0};

    for (size_t i = 0; words[i]; i++) {
        if (i + 1 == sizeof(addresses) / sizeof(addresses[0]))
            return 0;
        addresses[i] = append(become, words[i], strlen(words[i]) + 1);
        if (!addresses[i])
            return 0;
    }
    return append(become, addresses, sizeof(addresses));
}

int become_build(struct become *become, uint64_t base, const char *path, const char *const argv[],
                 const char *const envp[])
{
    memset(become, 0, sizeof(*become));
    become->base = base;
    if (!append(become, become_code, offset(become_code, become_code_end)))
        return -E2BIG;
    become->path = append(become, path, strlen(path) + 1);
    become->argv = append_words(become, argv);
    become->envp = append_words(become, envp);
    return become->path && become->argv && become->envp ? 0 : -E2BIG;
}

/* Into 64-bit code at `ip`. orig_rax -1: no system call is to be restarted. */
static void enter(struct user_regs_struct *regs, uint64_t ip)
{
    regs->rip = ip;
    regs->orig_rax = ~0ULL;
}

static void enter_afresh(struct user_regs_struct *regs, uint64_t ip)
{
    enter(regs, ip);
    regs->cs = USER_CS;
    regs->ss = USER_DS;
    regs->eflags = FLAGS;
}

void become_enter(const struct become *become, bool keep, struct user_regs_struct *regs)
{
    enter_afresh(regs, become->base + (keep ? offset(become_code, become_late_code) : 0));
    regs->r12 = become->path;
    regs->r13 = become->argv;
    regs->r14 = become->envp;
}

void become_hurry(uint64_t base, struct user_regs_struct *regs)
{
    regs->rip = base + offset(become_code, become_keep_code);
}

void become_wait(const struct become *become, struct user_regs_struct *regs)
{
    enter_afresh(regs, become->base + offset(become_code, become_wait_code));
}

bool become_waits(uint64_t base, const struct proc_call *call)
{
    return call->blocked && call->ip == base + offset(become_code, become_waits_code);
}

void regs_restart(struct user_regs_struct *regs)
{
    if ((long)regs->orig_rax < 0)
        return;
    switch (-(long)regs->rax) {
    case ERESTARTSYS:
    case ERESTARTNOINTR:
    case ERESTARTNOHAND:
        regs->rax = regs->orig_rax;
        regs->rip -= SYSCALL_INSTRUCTION_SIZE;
        break;
    case ERESTART_RESTARTBLOCK:
        regs->rax = SYS_restart_syscall;
        regs->rip -= SYSCALL_INSTRUCTION_SIZE;
        break;
    default:
        break;
    }
}

void inject_build(struct inject *inject, uint64_t base, const struct inject_order *order,
                  const struct user_regs_struct *regs)
{
    uint64_t info = base + offset(inject_code, inject_t_start) + offsetof(struct inject_table, info);
    struct user_regs_struct back = *regs;
    uint64_t number = (uint64_t)order->info->si_signo;
    struct inject_table table = {.mask = order->mask, .timeout = {1, 0}, .info = *order->info};

    regs_restart(&back);
    table.first = (uint64_t)order->pid;
    if (order->tid) {
        table.number = SYS_rt_tgsigqueueinfo;
        table.second = (uint64_t)order->tid;
        table.third = number;
        table.fourth = info;
    } else {
        table.number = SYS_rt_sigqueueinfo;
        table.second = number;
        table.third = info;
    }
    table.rax = back.rax;
    table.rdi = back.rdi;
    table.rsi = back.rsi;
    table.rdx = back.rdx;
    table.r10 = back.r10;
    table.rcx = back.rcx;
    table.r11 = back.r11;
    table.rip = back.rip;
    memset(inject, 0, sizeof(*inject));
    inject->base = base;
    _Static_assert(INJECT_SIZE % 16 == 0, "proc_padding() aligns by its size");
    memcpy(inject->bytes, inject_code, offset(inject_code, inject_t_start));
    memcpy(inject->bytes, &order->head, sizeof(order->head));
    memcpy(inject->bytes + offset(inject_code, inject_t_start), &table, sizeof(table));
}

void inject_enter(const struct inject *inject, struct user_regs_struct *regs)
{
    enter(regs, inject->base + offset(inject_code, inject_code_enter));
}

enum inject_place inject_place(uint64_t base, const struct user_regs_struct *regs, int *error)
{
    uint64_t at = regs->rip - base;
    long result;

    *error = 0;
    if (at < offset(inject_code, inject_code_enter) || at >= offset(inject_code, inject_code_left))
        return INJECT_OUTSIDE;
    if (at < offset(inject_code, inject_code_called))
        return INJECT_BEFORE;
    if (at >= offset(inject_code, inject_code_sent))
        return INJECT_DONE;
    if (at == offset(inject_code, inject_code_called))
        result = (long)regs->rax;
    else
        result = (long)regs->rcx;
    *error = (int)result;
    return result < 0 ? INJECT_FAILED : INJECT_DONE;
}

void inject_leave(uint64_t base, struct user_regs_struct *regs)
{
    enter(regs, base + offset(inject_code, inject_code_leave));
}

bool regs_are_64_bit(const struct user_regs_struct *regs)
{
    return regs->cs == USER_CS;
}

void regs_undo_interrupt(struct user_regs_struct *regs)
{
    bool endless;

    if ((long)regs->rax != -EINTR)
        return;
    switch (regs->orig_rax) {
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        endless = (int)regs->r10 == -1;
        break;
    case SYS_epoll_pwait2:
        endless = regs->r10 == 0;
        break;
    case SYS_rt_sigtimedwait:
        endless = regs->rdx == 0;
        break;
    case SYS_semop:
        endless = true;
        break;
    case SYS_semtimedop:
        endless = regs->r10 == 0;
        break;
    default:
        endless = false;
        break;
    }
    if (endless)
        regs->rax = (uint64_t)-ERESTARTNOHAND;
}

/* The kernel's word for an interrupted call, 0 where it is none that waits for long, or one of its own kind. */
static long interrupted(const struct user_regs_struct *regs)
{
    switch (regs->rax) {
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_select:
    case SYS_pselect6:
    case SYS_ppoll:
    case SYS_clock_nanosleep:
    case SYS_msgrcv:
    case SYS_msgsnd:
    case SYS_semop:
    case SYS_semtimedop:
        return ERESTARTNOHAND;
    case SYS_read:
    case SYS_readv:
    case SYS_write:
    case SYS_writev:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_open:
    case SYS_openat:
    case SYS_flock:
    case SYS_fcntl:
        return ERESTARTSYS;
    case SYS_futex:
        switch (regs->rsi & FUTEX_CMD_MASK) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET:
            return ERESTARTSYS;
        default:
            return 0;
        }
    default:
        return 0;
    }
}

bool regs_undo_repetition(struct user_regs_struct *regs, uint64_t code)
{
    long result = interrupted(regs);

    if ((code & 0xffff) != SYSCALL_INSTRUCTION || result == 0)
        return false;
    if (regs->orig_rax != regs->rax && (long)regs->orig_rax != -1)
        return false;
    regs->orig_rax = regs->rax;
    regs->rax = (uint64_t)-result;
    regs->rip += SYSCALL_INSTRUCTION_SIZE;
    return true;
}
