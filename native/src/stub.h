/*
 * The machine code that runs inside other processes, and the registers to start it with. All that knows the
 * CPU (x86-64) is in stub*.c; the procedures name no register.
 *
 * Every stub is built so that it needs nobody: once a thread's registers point at it, the thread gets to the
 * good end alone, whether or not we live to see it.
 */
#ifndef EXILE_STUB_H
#define EXILE_STUB_H

#include "proc.h"
#include "shim.h"
#include "siginfo.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

/*
 * For deputize. One image, written over code that never runs again: the text of a process that executes a
 * program, again and again until it succeeds; and the text of a thread that only waits to be ended by that.
 */
enum { BECOME_SIZE = 8192 };

struct become {
    uint64_t base; /* where it will stand */
    size_t used;
    uint64_t path, argv, envp; /* addresses in the target */
    uint8_t bytes[BECOME_SIZE];
};

/* argv and envp end with NULL and hold fewer than 16 words each. -E2BIG if it all is too much. */
must_use int become_build(struct become *become, uint64_t base, const char *path, const char *const argv[],
                          const char *const envp[]);

/* The name of the child that a body leaves its memory to. */
#define MEMORY_NAME "exile-memory"

/*
 * Registers for the one thread that executes, and for the others. `keep`: it leaves its memory to a child first, for
 * which it gives the others 100 ms to get to wait; it need not (become_hurry) once they do (become_waits).
 */
void become_enter(const struct become *become, bool keep, struct user_regs_struct *regs);
void become_wait(const struct become *become, struct user_regs_struct *regs);
void become_hurry(uint64_t base, struct user_regs_struct *regs);
must_use bool become_waits(uint64_t base, const struct proc_call *call);

/*
 * For post. An image in the padding of a process's code: sends the thread, or its process, a signal, waits a
 * second to be met, sets the signal mask, and goes back to where the thread was.
 */
enum { INJECT_SIZE = 640 };
#define INJECT_MAGIC 0x656c697865f10001ULL

/* The image begins with this. It stays there, and tells a later run of post what was done. */
struct inject_head {
    uint64_t magic;
    uint64_t owner; /* whose numbers these are */
    uint64_t number;
    uint64_t sent; /* 1: it is; 0: it is if a thread is in the image */
};

struct inject {
    uint64_t base;
    uint8_t bytes[INJECT_SIZE];
};

struct inject_order {
    struct inject_head head;
    pid_t pid, tid; /* as the target itself counts. tid 0: to the process, which only its leader can do */
    const siginfo_t *info;
    uint64_t mask; /* to set at the end */
};

enum inject_place {
    INJECT_OUTSIDE, /* not in the image: it has not begun, or is long done */
    INJECT_BEFORE,  /* on its way to the system call */
    INJECT_FAILED,  /* right after it */
    INJECT_DONE,    /* it has succeeded; the thread is on its way back */
};

void inject_build(struct inject *inject, uint64_t base, const struct inject_order *order,
                  const struct user_regs_struct *back);
void inject_enter(const struct inject *inject, struct user_regs_struct *regs);

/* Out of the wait, for a thread that is at INJECT_DONE. */
void inject_leave(uint64_t base, struct user_regs_struct *regs);

/* Where a stopped thread is; `error` is negative if it failed. */
enum inject_place inject_place(uint64_t base, const struct user_regs_struct *regs, int *error);

/*
 * For track. An image in the padding of a process's code, below that of post: the thread makes a child which
 * shares its memory, but has a table of descriptors of its own, in which it opens a userfaultfd for that memory.
 * The child waits half a second to have it taken, and ends; the thread waits for that end, as long again to be met, and
 * goes back to where it was.
 */
enum { TRACK_SIZE = 512 };
#define TRACK_MAGIC 0x656c697865f10002ULL /* the image begins with it */

struct track_stub {
    uint64_t base;
    uint8_t bytes[TRACK_SIZE];
};

enum track_place {
    TRACK_OUTSIDE, /* not in the image: it has not begun, or is back */
    TRACK_BEFORE,  /* on its way to make the child */
    TRACK_WAITS,   /* there is a child */
    TRACK_FAILED,  /* there can be none */
    TRACK_DONE,    /* the child has ended */
};

/* `mask` and `back`: what the thread goes back to. */
void track_build(struct track_stub *stub, uint64_t base, uint64_t mask, const struct user_regs_struct *back);
void track_enter(uint64_t base, struct user_regs_struct *regs);

/* Where a stopped thread is. `child`: its PID as the process counts, or why there is none. */
enum track_place track_place(uint64_t base, const struct user_regs_struct *regs, long *child);

/* The same of a thread that runs: true if it waits for its child; or for us, `child` being 0: it has none. */
must_use bool track_waits(uint64_t base, const struct proc_call *call, long *child);

/* Whether the child waits to have its descriptor taken: its number, or why there is none. */
must_use bool track_offers(uint64_t base, const struct proc_call *call, long *fd);

/* Whether a thread that is blocked in this call is in the image. */
must_use bool track_is_inside(uint64_t base, const struct proc_call *call);

/*
 * How little it harms a wait to be interrupted: 0 is best. From CALL_HARMED up the program may see that it was
 * interrupted.
 */
enum { CALL_RUNS = 0, CALL_GOES_ON = 1, CALL_MENDED = 2, CALL_UNKNOWN = 3, CALL_HARMED = 4 };
must_use int call_rank(const struct proc_call *call);

/* False for 32-bit code, which none of this serves. */
must_use bool regs_are_64_bit(const struct user_regs_struct *regs);

/* Where the kernel would take the thread next, did nobody interfere and no handler run. */
void regs_restart(struct user_regs_struct *regs);

/*
 * Some waits end with EINTR at a mere ptrace stop, not only at a signal's handler. Where a wait without
 * timeout did so, says instead what other system calls say: restart, unless a handler runs.
 * Expects the registers of a thread that PTRACE_INTERRUPT has just stopped.
 */
void regs_undo_interrupt(struct user_regs_struct *regs);

/*
 * Of a thread that is to repeat a system call which was interrupted: says instead what the kernel had said,
 * restart unless a handler runs, and steps over the call. `code`: what is at its instruction pointer. False:
 * it is no such thread. A thread that was about to make the call for the first time cannot be told from one
 * that is to repeat it; to it the same happens as if a signal had come just after the call.
 */
must_use bool regs_undo_repetition(struct user_regs_struct *regs, uint64_t code);

/*
 * For waits. Of a thread that is to repeat a select, pselect or ppoll of this number: where the time is that it
 * has left, which the kernel has written there; else 0. And whether that counts microseconds.
 */
must_use uint64_t wait_shortened(const struct user_regs_struct *regs, long number);
must_use bool wait_counts_micros(long number);

/* Whether the thread stands behind a system call that was interrupted. `code`: the two bytes before its
 * instruction pointer. */
must_use bool wait_failed(const struct user_regs_struct *regs, uint64_t code);

/* Aims it at the same call, with so many nanoseconds left, for which there is a struct timespec at `time`. */
void wait_call(struct user_regs_struct *regs, long number, uint64_t left, uint64_t time);

/* `regs` are its own, `called` those right after the call. */
void wait_result(struct user_regs_struct *regs, const struct user_regs_struct *called, long number);

#endif
