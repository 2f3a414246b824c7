#include "plan.h"
#include "uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLAN_LINE = 64 };

static void *take(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int plan_number(const char *text, uint64_t *number)
{
    size_t length = strlen(text);

    *number = 0;
    if (length == 0 || length > 14)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        if (digit(text[i]) < 0)
            return -EINVAL;
        *number = *number * 16 + (uint64_t)digit(text[i]);
    }
    return *number % PAGE_SIZE == 0 ? 0 : -EINVAL;
}

static int add_area(struct plan *plan, struct area area)
{
    if (plan->area_count > 0 && area.start < plan->areas[plan->area_count - 1].end)
        return -EINVAL;
    area.index = plan->pages;
    plan->areas[plan->area_count++] = area;
    plan->pages += (area.end - area.start) / PAGE_SIZE;
    return 0;
}

static int add_missing(struct plan *plan, struct area area)
{
    if (plan->missing_count > 0 && area.start < plan->missing[plan->missing_count - 1].end)
        return -EINVAL;
    plan->missing[plan->missing_count++] = area;
    return 0;
}

static int parse_line(struct plan *plan, char *line)
{
    struct area area = {0};
    char *rest = NULL;
    const char *word = strtok_r(line, " ", &rest);
    const char *start = strtok_r(NULL, " ", &rest);
    const char *end = strtok_r(NULL, " ", &rest);

    if (!word || !start || !end || *rest || plan_number(start, &area.start) < 0 ||
        plan_number(end, &area.end) < 0 || area.start >= area.end)
        return -EINVAL;
    if (strcmp(word, "area") == 0)
        return add_area(plan, area);
    return strcmp(word, "missing") == 0 ? add_missing(plan, area) : -EINVAL;
}

static int parse_lines(struct plan *plan, const char *text, size_t size)
{
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t length = end ? (size_t)(end - text) : size;
        char line[PLAN_LINE];
        int error;

        if (!end || length >= sizeof(line))
            return -EINVAL; /* cut off, or no plan */
        memcpy(line, text, length);
        line[length] = 0;
        error = parse_line(plan, line);
        if (error < 0)
            return error;
        text += length + 1;
        size -= length + 1;
    }
    return 0;
}

/* What is missing is found by its index, too. */
static int place_missing(struct plan *plan)
{
    for (size_t i = 0; i < plan->missing_count; i++) {
        struct area *missing = &plan->missing[i];
        const struct area *area = plan_find(plan, missing->start, missing->end);

        if (!area)
            return -EINVAL;
        missing->index = area->index + (missing->start - area->start) / PAGE_SIZE;
    }
    return 0;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t lines = 0;

    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

int plan_parse(struct plan *plan, const char *text, size_t size)
{
    size_t lines = count_lines(text, size) + 1;
    int error;

    *plan = (struct plan){.size = 2 * lines * sizeof(struct area)};
    plan->areas = take(plan->size);
    if (!plan->areas)
        return -ENOMEM;
    plan->missing = plan->areas + lines;
    error = parse_lines(plan, text, size);
    if (error == 0)
        error = place_missing(plan);
    if (error < 0)
        plan_free(plan);
    return error;
}

static ssize_t read_all(int fd, char *text, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t n = read(fd, text + used, size - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

static int read_plan(struct plan *plan, int fd)
{
    struct stat info;
    ssize_t used;
    char *text;
    int error;

    if (fstat(fd, &info) < 0)
        return -errno;
    text = take((size_t)info.st_size + 1);
    if (!text)
        return -ENOMEM;
    used = read_all(fd, text, (size_t)info.st_size);
    error = used < 0 ? (int)used : plan_parse(plan, text, (size_t)used);
    munmap(text, (size_t)info.st_size + 1);
    return error;
}

int plan_read(struct plan *plan, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error;

    if (fd < 0)
        return -errno;
    error = read_plan(plan, fd);
    close(fd);
    return error;
}

void plan_free(struct plan *plan)
{
    munmap(plan->areas, plan->size);
    *plan = (struct plan){0};
}

const struct area *plan_find(const struct plan *plan, uint64_t start, uint64_t end)
{
    size_t low = 0;
    size_t high = plan->area_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (plan->areas[middle].end <= start)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == plan->area_count || plan->areas[low].start > start || plan->areas[low].end < end)
        return NULL;
    return &plan->areas[low];
}

uint64_t plan_address(const struct plan *plan, uint64_t index)
{
    size_t low = 0;
    size_t high = plan->area_count;

    /* The last area that begins at or before it. */
    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (plan->areas[middle].index <= index)
            low = middle;
        else
            high = middle;
    }
    return plan->areas[low].start + (index - plan->areas[low].index) * PAGE_SIZE;
}
