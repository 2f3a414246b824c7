/*
 * Job `fill`: writes what a store has of a process's memory (see plan.h) into the process, in which nothing runs.
 * What its mappings do not let it do itself does not matter.
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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 18 };

static _Alignas(PAGE_SIZE) char buffer[CHUNK];

static int copy_chunk(int memory, int store, uint64_t start, size_t size)
{
    ssize_t n = pread(store, buffer, size, (off_t)start);
    size_t done = 0;

    if (n <= 0)
        return n < 0 ? -errno : -ENODATA;
    while (done < (size_t)n) {
        ssize_t written = pwrite(memory, buffer + done, (size_t)n - done, (off_t)(start + done));

        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        done += (size_t)written;
    }
    return (int)n;
}

static int copy_data(int memory, int store, uint64_t start, uint64_t end)
{
    while (start < end) {
        int n = copy_chunk(memory, store, start, end - start < CHUNK ? end - start : CHUNK);

        if (n < 0)
            return n;
        start += (uint64_t)n;
    }
    return 0;
}

/* The store's data within the area; a hole is what the process has there already. */
static int copy_area(int memory, int store, const struct area *area, uint64_t *bytes)
{
    off_t end = (off_t)area->start;

    for (;;) {
        off_t start = lseek(store, end, SEEK_DATA);
        int error;

        if (start < 0)
            return errno == ENXIO ? 0 : -errno;
        if ((uint64_t)start >= area->end)
            return 0;
        end = lseek(store, start, SEEK_HOLE);
        if (end < 0)
            return -errno;
        if ((uint64_t)end > area->end)
            end = (off_t)area->end;
        error = copy_data(memory, store, (uint64_t)start, (uint64_t)end);
        if (error < 0)
            return error;
        *bytes += (uint64_t)(end - start);
    }
}

static int fill(int memory, int store, const struct plan *plan, uint64_t *bytes)
{
    struct stat info;

    if (fstat(store, &info) < 0)
        return -errno;
    if (plan->missing_count > 0 ||
        (plan->area_count > 0 && (uint64_t)info.st_size < plan->areas[plan->area_count - 1].end))
        return -ENODATA;
    for (size_t i = 0; i < plan->area_count; i++) {
        int error = copy_area(memory, store, &plan->areas[i], bytes);

        if (error < 0)
            return error;
    }
    return 0;
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
    int store;
    int error;

    if (argc != 4 || sys_parse_number(argv[1], 1, INT_MAX, &pid) < 0)
        return usage_error("usage: exile-shim fill PID STORE PLAN");
    error = plan_read(&plan, argv[3]);
    if (error < 0)
        return failed("the plan", error);
    store = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (store < 0)
        return failed("the store", -errno);
    snprintf(path, sizeof(path), "/proc/%ld/mem", pid);
    memory = open(path, O_WRONLY | O_CLOEXEC);
    if (memory < 0)
        return failed("the process", -errno);
    error = fill(memory, store, &plan, &bytes);
    if (error < 0)
        return failed("cannot fill the process", error);
    line_say(1, "filled %llu %llu", (unsigned long long)bytes, (unsigned long long)(sys_now() - begin));
    return EXIT_OK;
}
