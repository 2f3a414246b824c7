/*
 * Raw ptrace, for threads attached by PTRACE_SEIZE. Negative errno on failure; -ESRCH also means "not in a
 * ptrace stop". What a call leaves behind in the tracee is said at each.
 */
#ifndef EXILE_TRACE_H
#define EXILE_TRACE_H

#include "shim.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define TRACE_ALL_BLOCKED (~0ULL) /* the kernel itself leaves SIGKILL and SIGSTOP out */

/* The thread may run or stand; it goes on as it was. `options`: PTRACE_O_*. */
must_use int trace_seize(pid_t tid, unsigned long options);

/*
 * Seizes (with PTRACE_O_TRACEEXIT besides) and brings the thread into a ptrace stop. -ESRCH: it has ended; or
 * it is about to, and stands in its exit stop: trace_detach() lets it end. To wait for that end here could be
 * for ever: a leader does not end before its other threads, which may stand in our stops as well.
 */
must_use int trace_stand(pid_t tid, unsigned long options);

/* Brings a seized, running thread into a ptrace stop. -ESRCH as above. */
must_use int trace_stop(pid_t tid);

/*
 * After PTRACE_INTERRUPT or trace_continue(), until the next stop. 0: stopped by PTRACE_INTERRUPT, or by a
 * group stop. 1: about to be delivered signal `number`; if we die now, it is delivered. -ESRCH as above.
 */
must_use int trace_await(pid_t tid, int *number);

/* Makes a running thread stop soon; one that has stopped by itself meanwhile is left so. trace_await()
 * follows. */
must_use int trace_interrupt(pid_t tid);

/* From a ptrace stop: runs, with this signal delivered if the stop was a signal's delivery. */
must_use int trace_continue(pid_t tid, int number);
must_use int trace_detach(pid_t tid, int number);

/*
 * From a ptrace stop, to where the thread enters or leaves its next system call; seized with
 * PTRACE_O_TRACESYSGOOD, all signals blocked. -EINTR: it has stopped for something else.
 */
must_use int trace_to_call(pid_t tid);

/* Interrupts a thread that stands in a ptrace stop: as soon as it goes on. */
must_use int trace_interrupt_now(pid_t tid);

/*
 * As trace_detach(), for one who lives on: a thread that was killed in its stop is on its way to its exit stop,
 * and would stand there for as long as we are there. So that is waited for (a moment only, and never for the
 * end, see trace_stand()). -ESRCH: it has ended, or ends now.
 */
must_use int trace_let_go(pid_t tid, int number);

must_use int trace_get_regs(pid_t tid, struct user_regs_struct *regs);
must_use int trace_set_regs(pid_t tid, const struct user_regs_struct *regs);
must_use int trace_get_mask(pid_t tid, uint64_t *mask);
must_use int trace_set_mask(pid_t tid, uint64_t mask);

/* Writes whole words, also where the process itself may only read and execute. `size` is a multiple of 8. */
must_use int trace_poke(pid_t tid, uint64_t address, const void *data, size_t size);

/* Pending signals of the thread, or shared by its process, from the nth on, oldest first. How many. */
must_use int trace_peek_signals(pid_t tid, bool shared, size_t from, siginfo_t *list, int size);

#endif
