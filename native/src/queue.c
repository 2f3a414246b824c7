#include "queue.h"
#include "proc.h"
#include "siginfo.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* As the kernel has it. */
struct action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static const uint64_t all = ~0ULL;

static void never(int number)
{
    (void)number;
}

static sigjmp_buf woken;
static siginfo_t waker;
static bool waker_waits; /* the SIGCONT that has woken us is to be taken like one that is pending */

/* Runs with all signals blocked, and so they stay. */
static void wake(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    waker = *info;
    siglongjmp(woken, 1);
}

static int set_action(int number, void (*handler)(int), unsigned long flags)
{
    struct action action = {.handler = handler, .flags = flags};

    return syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask)) < 0 ? -errno : 0;
}

int queue_open(void)
{
    struct sigaction on_continue = {.sa_sigaction = wake, .sa_flags = SA_SIGINFO};

    if (syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all)) < 0)
        return -errno;
    sigfillset(&on_continue.sa_mask);
    if (sigaction(SIGCONT, &on_continue, NULL) < 0)
        return -errno;
    /*
     * Deputies of children end as the real children do; the real parent reaps those, nobody these. A handler
     * (that never runs), as to set SIG_IGN or SIG_DFL would drop a SIGCHLD that somebody sent.
     */
    return set_action(SIGCHLD, never, SA_NOCLDWAIT | SA_NOCLDSTOP);
}

int queue_poll_fd(void)
{
    sigset_t set;
    int fd;

    memset(&set, 0xff, sizeof(set));
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int take_number(int number, siginfo_t *info)
{
    const uint64_t one = 1ULL << (number - 1);
    const struct timespec now = {0};

    memset(info, 0, sizeof(*info));
    if (syscall(SYS_rt_sigtimedwait, &one, info, &now, sizeof(one)) < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return 1;
}

/*
 * The kernel searches the thread's queue before the process's, and does not say which it was. So look first,
 * and take by number what the look showed. A signal that comes between the two can be mistaken only if the
 * same number was pending for the process, it was for the thread, and its code does not tell: kill and the
 * kernel always mean the process, tkill the thread.
 */
static int take_any(pid_t *tid, siginfo_t *info)
{
    struct proc_status status;
    uint64_t seen[2];

    /* Without a /proc (a bare chroot) all counts as the process's, but for what the code tells. */
    if (proc_status(getpid(), getpid(), &status) < 0)
        status = (struct proc_status){.shared = all};
    seen[0] = status.pending;
    seen[1] = status.shared;
    for (int queue = 0; queue < 2; queue++) {
        for (uint64_t left = seen[queue]; left; left &= left - 1) {
            int result = take_number(__builtin_ctzll(left) + 1, info);

            if (result == 0)
                continue;
            *tid = queue == 0 ? getpid() : 0;
            if (info->si_code == SI_TKILL)
                *tid = getpid();
            else if (info->si_code >= 0)
                *tid = 0;
            return result;
        }
    }
    return 0;
}

int queue_take(pid_t *tid, siginfo_t *info)
{
    int result;

    if (waker_waits) {
        waker_waits = false;
        *info = waker;
        *tid = info->si_code == SI_TKILL ? getpid() : 0;
        return 1;
    }
    do
        result = take_any(tid, info);
    while (result > 0 && siginfo_is_own(info, getpid()));
    return result;
}

void queue_raise(int number)
{
    const uint64_t one = 1ULL << (number - 1);

    if (number != SIGKILL && number != SIGSTOP && set_action(number, SIG_DFL, 0) < 0)
        return;
    if (syscall(SYS_tgkill, getpid(), getpid(), number) < 0)
        return;
    /* A stop acts at the end of this call, and SIGCONT brings us back from it. */
    if (syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, NULL, sizeof(one)) < 0)
        return;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
}

static void raise_until_continued(int number)
{
    const uint64_t one = 1ULL << (SIGCONT - 1);

    if (sigsetjmp(woken, 0))
        return;
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, NULL, sizeof(one));
    queue_raise(number);
    /* Still here: the kernel has discarded it. */
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &one, NULL, sizeof(one));
    for (;;)
        queue_raise(SIGSTOP);
}

/*
 * To send a stop signal wipes out a pending SIGCONT. So that none is lost just before that, it is not pending
 * meanwhile but handled at once; and the handler leaps over what would still stop us. Nor is it queued again: that
 * would wipe out a stop signal that has come after it.
 */
void queue_stop(int number)
{
    raise_until_continued(number);
    waker_waits = true;
}
