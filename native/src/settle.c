/*
 * Job `settle`: settle_cgroup() for those who are not the guard.
 *
 *   exile-shim settle --cgroup DIR [TID:NUMBER:NANOSECONDS...]      settled | error TEXT
 *
 * Further words are timed waits, as the threads count themselves, and what is left of them: see waits.h.
 */
#include "settle.h"
#include "cgroup.h"
#include "lines.h"
#include "proc.h"
#include "stub.h"
#include "sys.h"
#include "trace.h"
#include "waits.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

/* A word of code where a thread stands. */
static int peek(pid_t tid, uint64_t address, uint64_t *word)
{
    long value;

    errno = 0;
    value = ptrace(PTRACE_PEEKTEXT, tid, (void *)address, NULL);
    if (errno)
        return -errno;
    *word = (uint64_t)value;
    return 0;
}

/* What is done to a thread in its ptrace stop. */
typedef int settling(pid_t tid);

int settle_interrupted(pid_t tid)
{
    struct user_regs_struct regs;
    uint64_t before;
    int error = trace_get_regs(tid, &regs);

    if (error < 0 || !regs_are_64_bit(&regs))
        return error;
    before = regs.rax;
    regs_undo_interrupt(&regs);
    return regs.rax == before ? 0 : trace_set_regs(tid, &regs);
}

static int settle_standing(pid_t tid)
{
    struct user_regs_struct regs;
    uint64_t code = 0;
    int error = trace_get_regs(tid, &regs);

    if (error < 0)
        return error;
    /* Nothing there to be read: nothing to repeat either. */
    if (!regs_are_64_bit(&regs) || peek(tid, regs.rip, &code) < 0)
        return 0;
    return regs_undo_repetition(&regs, code) ? trace_set_regs(tid, &regs) : 0;
}

static int settle_thread(pid_t tid, settling *settle)
{
    int error = trace_stand(tid, 0);
    int let_go;

    if (error == 0)
        error = settle(tid);
    let_go = trace_detach(tid, 0);
    if (error == 0)
        error = let_go;
    return error == -ESRCH ? 0 : error;
}

static int settle_process(pid_t pid, settling *settle)
{
    struct pids threads = {0};
    int error = proc_threads(pid, &threads);

    for (size_t i = 0; error == 0 && i < threads.count; i++) {
        struct proc_status status;

        if (proc_status(pid, threads.list[i], &status) < 0 || status.state == 'Z' || status.state == 'X')
            continue;
        error = settle_thread(threads.list[i], settle);
    }
    pids_free(&threads);
    return error == -ENOENT || error == -ESRCH ? 0 : error;
}

static int settle_all(int cgroup, settling *settle)
{
    char list[65536 / 8];
    char *rest = NULL;
    ssize_t n = sys_read_at(cgroup, "cgroup.procs", list, sizeof(list));

    if (n < 0)
        return (int)n;
    if (n == sizeof(list) - 1)
        return -E2BIG;
    for (char *pid = strtok_r(list, "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest)) {
        int error = settle_process((pid_t)strtol(pid, NULL, 10), settle);

        if (error < 0)
            return error;
    }
    return 0;
}

int settle_cgroup(int cgroup)
{
    return settle_all(cgroup, settle_standing);
}

int settle_interrupts(int cgroup)
{
    return settle_all(cgroup, settle_interrupted);
}

static int parse_waits(int count, char **words, struct wait_left *waits)
{
    for (int i = 0; i < count; i++) {
        if (waits_parse(words[i], &waits[i]) < 0)
            return usage_error("settle: a wait is TID:NUMBER:NANOSECONDS, not '%s'", words[i]);
    }
    return 0;
}

int job_settle(int argc, char **argv)
{
    struct wait_left *waits;
    int cgroup;
    int error;

    if (argc < 3 || strcmp(argv[1], "--cgroup") != 0)
        return usage_error("usage: exile-shim settle --cgroup DIR [TID:NUMBER:NANOSECONDS...]");
    waits = calloc((size_t)argc, sizeof(*waits));
    error = waits ? parse_waits(argc - 3, argv + 3, waits) : EXIT_FAILED;
    if (error) {
        free(waits);
        return error;
    }
    cgroup = cgroup_open(argv[2]);
    error = cgroup < 0 ? cgroup : settle_cgroup(cgroup);
    if (error == 0 && argc > 3)
        error = waits_resume(cgroup, waits, (size_t)(argc - 3));
    free(waits);
    if (cgroup >= 0)
        close(cgroup);
    if (error < 0) {
        line_say(1, "error cannot settle %s: %s", argv[2], strerror(-error));
        return EXIT_FAILED;
    }
    line_say(1, "settled");
    return EXIT_OK;
}
