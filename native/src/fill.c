/*
 * Job `fill`: moves what a store has of a process's memory (see plan.h) into the process, in which nothing
 * runs. What its mappings do not let it do itself does not matter. The store is emptied on the way: no memory
 * is needed twice, and pages that are given back are at hand for those that are written next.
 *
 *   exile-shim fill PID STORE PLAN   prints "filled BYTES MICROS"
 */
#include "lines.h"
#include "plan.h"
#include "shim.h"
#include "sys.h"
#include "uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 18,
    /* They go to the workers in turn. A page may be as large: only one of them touches it then. */
    BLOCK = 1 << 21,
    MAX_WORKERS = 4,
};

struct worker {
    unsigned int number;
    unsigned int count;
    int memory;
    int store;
    uint64_t bytes;
    int error;
};

static _Alignas(PAGE_SIZE) char buffer[CHUNK];

static int move_chunk(const struct worker *worker, uint64_t start, size_t size)
{
    ssize_t n = pread(worker->store, buffer, size, (off_t)start);
    size_t done = 0;

    if (n <= 0)
        return n < 0 ? -errno : -ENODATA;
    while (done < (size_t)n) {
        ssize_t written = pwrite(worker->memory, buffer + done, (size_t)n - done, (off_t)(start + done));

        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        done += (size_t)written;
    }
    /* What it does not give back now is given back with the file. */
    if (fallocate(worker->store, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start, (off_t)n) < 0)
        errno = 0;
    return (int)n;
}

/* This worker's blocks of a range that has data. */
static int move_data(struct worker *worker, uint64_t start, uint64_t end)
{
    while (start < end) {
        uint64_t block_end = (start / BLOCK + 1) * BLOCK;
        int n;

        if (block_end > end)
            block_end = end;
        if (start / BLOCK % worker->count != worker->number) {
            start = block_end;
            continue;
        }
        n = move_chunk(worker, start, block_end - start < CHUNK ? block_end - start : CHUNK);
        if (n < 0)
            return n;
        start += (uint64_t)n;
        worker->bytes += (uint64_t)n;
    }
    return 0;
}

/* The store's data within the area; a hole is what the process has there already. */
static int move_area(struct worker *worker, const struct area *area)
{
    off_t end = (off_t)area->start;

    for (;;) {
        off_t start = lseek(worker->store, end, SEEK_DATA);
        int error;

        if (start < 0)
            return errno == ENXIO ? 0 : -errno;
        if ((uint64_t)start >= area->end)
            return 0;
        end = lseek(worker->store, start, SEEK_HOLE);
        if (end < 0)
            return -errno;
        if ((uint64_t)end > area->end)
            end = (off_t)area->end;
        error = move_data(worker, (uint64_t)start, (uint64_t)end);
        if (error < 0)
            return error;
    }
}

/* With an offset in the store of its own. */
static int work(struct worker *worker, const char *path, const struct plan *plan)
{
    int error = 0;

    worker->store = open(path, O_RDWR | O_CLOEXEC);
    if (worker->store < 0)
        return -errno;
    for (size_t i = 0; i < plan->area_count && error == 0; i++)
        error = move_area(worker, &plan->areas[i]);
    close(worker->store);
    return error;
}

static int is_complete(const char *path, const struct plan *plan)
{
    struct stat info;

    if (stat(path, &info) < 0)
        return -errno;
    if (plan->missing_count > 0 ||
        (plan->area_count > 0 && (uint64_t)info.st_size < plan->areas[plan->area_count - 1].end))
        return -ENODATA;
    return 0;
}

static unsigned int worker_count(void)
{
    cpu_set_t processors;
    int count = sched_getaffinity(0, sizeof(processors), &processors) < 0 ? 1 : CPU_COUNT(&processors);

    return count > MAX_WORKERS ? MAX_WORKERS : (unsigned int)count;
}

/* A worker that could not be made, or has not ended well, has done nothing that can be relied on. */
static int wait_for(const struct worker *worker, pid_t pid)
{
    int status;

    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -EAGAIN;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_OK)
        return worker->error < 0 ? worker->error : -ECHILD;
    return 0;
}

static int fill(int memory, const char *path, const struct plan *plan, uint64_t *bytes)
{
    unsigned int count = worker_count();
    pid_t pids[MAX_WORKERS];
    struct worker *workers =
        mmap(NULL, MAX_WORKERS * sizeof(*workers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int error = workers == MAP_FAILED ? -errno : is_complete(path, plan);

    if (error < 0)
        return error;
    for (unsigned int i = 0; i < count; i++) {
        struct worker *worker = &workers[i];

        *worker = (struct worker){.number = i, .count = count, .memory = memory};
        pids[i] = fork();
        if (pids[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            worker->error = work(worker, path, plan);
            _exit(worker->error < 0 ? EXIT_FAILED : EXIT_OK);
        }
    }
    for (unsigned int i = 0; i < count; i++) {
        int its = wait_for(&workers[i], pids[i]);

        if (error == 0)
            error = its;
        *bytes += workers[i].bytes;
    }
    return error;
}

static int failed(const char *what, int error)
{
    line_say(1, "error %s: %s", what, strerror(-error));
    return EXIT_FAILED;
}

int job_fill(int argc, char **argv)
{
    uint64_t begin = sys_now();
    uint64_t bytes = 0;
    struct plan plan;
    char path[32];
    long pid;
    int memory;
    int error;

    if (argc != 4 || sys_parse_number(argv[1], 1, INT_MAX, &pid) < 0)
        return usage_error("usage: exile-shim fill PID STORE PLAN");
    error = plan_read(&plan, argv[3]);
    if (error < 0)
        return failed("the plan", error);
    snprintf(path, sizeof(path), "/proc/%ld/mem", pid);
    memory = open(path, O_WRONLY | O_CLOEXEC);
    if (memory < 0)
        return failed("the process", -errno);
    error = fill(memory, argv[2], &plan, &bytes);
    if (error < 0)
        return failed("cannot fill the process", error);
    line_say(1, "filled %llu %llu", (unsigned long long)bytes, (unsigned long long)(sys_now() - begin));
    return EXIT_OK;
}
