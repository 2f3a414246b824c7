/* The part of proc.h that looks for room in a process's memory. */
#include "proc.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct mapping {
    uint64_t start;
    uint64_t end;
    char rights[5];
    bool vdso;
};

/* Calls `look` for each mapping until it returns other than 0; returns that. */
static int each_mapping(pid_t pid, int (*look)(const struct mapping *, void *), void *context)
{
    char path[64];
    char line[512];
    int result = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    file = fopen(path, "re");
    if (!file)
        return -errno;
    while (result == 0 && fgets(line, sizeof(line), file)) {
        struct mapping mapping;

        /* The rest of a name longer than the buffer looks like no mapping. */
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &mapping.start, &mapping.end, mapping.rights) != 3)
            continue;
        mapping.vdso = strstr(line, "[vdso]") != NULL;
        result = look(&mapping, context);
    }
    fclose(file);
    return result;
}

/* [vsyscall] lies in the kernel's half, and only seems to be private and executable. */
static bool is_code(const struct mapping *mapping)
{
    return mapping->rights[2] == 'x' && mapping->rights[3] == 'p' && mapping->end <= 1ULL << 63;
}

struct code_search {
    size_t size;
    uint64_t found;
};

static int look_for_code(const struct mapping *mapping, void *context)
{
    struct code_search *search = context;

    if (!is_code(mapping) || mapping->end - mapping->start < search->size)
        return 0;
    search->found = mapping->start;
    return mapping->vdso;
}

int proc_code_area(pid_t pid, size_t size, uint64_t *start)
{
    struct code_search search = {.size = size};
    int error = each_mapping(pid, look_for_code, &search);

    if (error < 0)
        return error;
    *start = search.found;
    return search.found ? 0 : -ENOSPC;
}

struct padding_search {
    int memory;
    size_t size;
    size_t above;
    uint64_t magic;
    uint64_t found;
    bool used;
};

static int look_for_padding(const struct mapping *mapping, void *context)
{
    struct padding_search *search = context;
    uint64_t at = (mapping->end - search->above - search->size) & ~15ULL;
    char bytes[4096];

    if (!is_code(mapping) || mapping->rights[1] == 'w' ||
        mapping->end - mapping->start < search->above + search->size)
        return 0;
    /* What cannot be read is no place to write to either. */
    if (pread(search->memory, bytes, search->size, (off_t)at) != (ssize_t)search->size)
        return 0;
    search->used = memcmp(bytes, &search->magic, sizeof(search->magic)) == 0;
    for (size_t i = 0; !search->used && i < search->size; i++) {
        if (bytes[i])
            return 0;
    }
    search->found = at;
    return 1;
}

int proc_padding(pid_t pid, size_t size, size_t above, uint64_t magic, uint64_t *start, bool *used)
{
    struct padding_search search = {.size = size, .above = above, .magic = magic};
    char path[64];
    int error;

    if (size > 4096 || size % 16)
        return -EINVAL;
    snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    search.memory = open(path, O_RDONLY | O_CLOEXEC);
    if (search.memory < 0)
        return -errno;
    error = each_mapping(pid, look_for_padding, &search);
    close(search.memory);
    if (error < 0)
        return error;
    *start = search.found;
    *used = search.used;
    return search.found ? 0 : -ENOSPC;
}

int proc_read(pid_t pid, uint64_t from, void *data, size_t size)
{
    char path[64];
    ssize_t n;
    int memory;

    snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    memory = open(path, O_RDONLY | O_CLOEXEC);
    if (memory < 0)
        return -errno;
    n = pread(memory, data, size, (off_t)from);
    close(memory);
    return n == (ssize_t)size ? 0 : -EIO;
}

int proc_write(pid_t pid, uint64_t to, const void *data, size_t size)
{
    char path[64];
    ssize_t n;
    int memory;

    snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    memory = open(path, O_WRONLY | O_CLOEXEC);
    if (memory < 0)
        return -errno;
    n = pwrite(memory, data, size, (off_t)to);
    close(memory);
    return n == (ssize_t)size ? 0 : -EIO;
}
