/*
 * exile-veil.so: hides pages from CRIU, into which it is preloaded for one dump.
 *
 * What travels on other ways than CRIU's is to cost it no time. CRIU learns from /proc/PID/pagemap which pages
 * are populated, so the pages of the ranges in the file that EXILE_VEIL names look as if they were not:
 * PAGEMAP_SCAN is carried out around them, and what pread reads of their entries is 0. The file has lines
 *
 *   PID START END         decimal, as CRIU counts; hexadecimal, multiples of the page size
 *
 * those of a PID together, in ascending order, without overlap. If there is no such file, or anything in it
 * is not as it should be, nothing is hidden: the dump is slower then, and still right.
 *
 * MADV_GUARD_INSTALL's guards are no pages. Who asks for those gets them all: they are part of the layout.
 *
 * It is loaded into any CRIU with any C library: raw system calls, and of the library no more than errno and
 * the environment.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>

enum {
    PAGE = 4096,
    ENTRY = 8, /* bytes of pagemap for a page */
    MAX_FILE = 64 << 20,
};

/* As in linux/fs.h since 6.7. */
struct region {
    uint64_t start, end, categories;
};

struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_REQUEST 0xc0606610UL /* _IOWR('f', 16, struct scan) */
#define IS_GUARD (1ULL << 8)
_Static_assert(sizeof(struct scan) == 0x60, "as the request says");

struct range {
    uint64_t pid, start, end;
};

/* Ranges of one process. */
struct hidden {
    const struct range *list;
    size_t count;
};

extern char **environ __attribute__((weak));
int *__errno_location(void);
int ioctl(int fd, unsigned long request, ...);
ssize_t pread64(int fd, void *buffer, size_t size, off_t from);
ssize_t pread(int fd, void *buffer, size_t size, off_t from);

static struct hidden all;
static bool loaded;

static long call(long number, long first, long second, long third, long fourth)
{
    register long r10 __asm__("r10") = fourth;
    register long r8 __asm__("r8") = -1; /* mmap's descriptor, where it has none, and its offset */
    register long r9 __asm__("r9") = 0;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(first), "S"(second), "d"(third), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static long outcome(long result)
{
    if (result >= 0 || result < -4095)
        return result;
    *__errno_location() = (int)-result;
    return -1;
}

/* Behind `prefix` if text begins with it, else NULL. */
static const char *behind(const char *text, const char *prefix)
{
    while (*prefix) {
        if (*text++ != *prefix++)
            return NULL;
    }
    return text;
}

/* A number, and the character that ends it; NULL if there is none. */
static const char *take_number(const char *at, const char *end, unsigned int base, char last, uint64_t *value)
{
    const char *from = at;

    for (*value = 0; at < end; at++) {
        unsigned int digit = base;

        if (*at >= '0' && *at <= '9')
            digit = (unsigned int)(*at - '0');
        else if (*at >= 'a' && *at <= 'f')
            digit = (unsigned int)(*at - 'a') + 10;
        if (digit >= base)
            break;
        if (*value >> 59)
            return NULL;
        *value = *value * base + digit;
    }
    return at > from && at < end && *at == last ? at + 1 : NULL;
}

/* Whether a range may follow the `count` ones before it. */
static bool fits(const struct range *list, size_t count, const struct range *range)
{
    if (range->start >= range->end || range->start % PAGE || range->end % PAGE)
        return false;
    if (count > 0 && list[count - 1].pid == range->pid)
        return range->start >= list[count - 1].end;
    for (size_t i = 0; i < count; i++) {
        if (list[i].pid == range->pid)
            return false;
    }
    return true;
}

/* How many ranges; 0 if anything is wrong. */
static size_t parse(const char *at, const char *end, struct range *list)
{
    size_t count = 0;

    while (at < end) {
        struct range range;

        at = take_number(at, end, 10, ' ', &range.pid);
        if (at)
            at = take_number(at, end, 16, ' ', &range.start);
        if (at)
            at = take_number(at, end, 16, '\n', &range.end);
        if (!at || !fits(list, count, &range))
            return 0;
        list[count++] = range;
    }
    return count;
}

static long get_memory(size_t size)
{
    return call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
}

/* 0: read whole. */
static long read_all(long fd, char *text, long size)
{
    long done = 0;

    while (done < size) {
        long n = call(SYS_read, fd, (long)(text + done), size - done, 0);

        if (n <= 0)
            return -1;
        done += n;
    }
    return 0;
}

static void load_from(long fd)
{
    struct stat file;
    long text;
    long list;

    if (call(SYS_fstat, fd, (long)&file, 0, 0) < 0 || file.st_size <= 0 || file.st_size > MAX_FILE)
        return;
    text = get_memory((size_t)file.st_size);
    /* A line has 9 characters at least. */
    list = get_memory((size_t)(file.st_size / 9 + 1) * sizeof(struct range));
    if (text < 0 || list < 0)
        return;
    if (read_all(fd, (char *)text, file.st_size) == 0) {
        all.list = (const struct range *)list;
        all.count = parse((const char *)text, (const char *)text + file.st_size, (struct range *)list);
    }
    call(SYS_munmap, text, file.st_size, 0, 0);
}

static void load(void)
{
    const char *path = NULL;
    long fd;

    loaded = true;
    for (char **word = &environ ? environ : NULL; word && *word && !path; word++)
        path = behind(*word, "EXILE_VEIL=");
    if (!path)
        return;
    fd = call(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd < 0)
        return;
    load_from(fd);
    call(SYS_close, fd, 0, 0, 0);
}

/* Whose pagemap the descriptor is; 0: it is something else. */
static uint64_t whose_pagemap(int fd)
{
    char link[32] = "/proc/self/fd/";
    char path[64];
    char digits[12];
    size_t used = 14;
    size_t count = 0;
    const char *at;
    uint64_t pid;
    long size;

    if (fd < 0)
        return 0;
    for (unsigned int rest = (unsigned int)fd; count == 0 || rest; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    while (count)
        link[used++] = digits[--count];
    size = call(SYS_readlink, (long)link, (long)path, sizeof(path) - 1, 0);
    if (size <= 0)
        return 0;
    path[size] = 0;
    at = behind(path, "/proc/");
    if (at)
        at = take_number(at, path + size, 10, '/', &pid);
    if (at)
        at = behind(at, "pagemap");
    return at && !*at ? pid : 0;
}

/* What is hidden of the process that this descriptor tells of. */
static struct hidden hidden_from(int fd)
{
    struct hidden hidden = {NULL, 0};
    size_t first = 0;
    uint64_t pid;

    if (!loaded)
        load();
    if (all.count == 0)
        return hidden;
    pid = whose_pagemap(fd);
    while (first < all.count && all.list[first].pid != pid)
        first++;
    hidden.list = all.list + first;
    while (first + hidden.count < all.count && hidden.list[hidden.count].pid == pid)
        hidden.count++;
    return hidden;
}

/* The first range that ends behind this address; `count`: there is none. */
static size_t first_behind(const struct hidden *hidden, uint64_t address)
{
    size_t low = 0;
    size_t high = hidden->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hidden->list[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The next part from an address on that is not hidden: from the one returned to *end. */
static uint64_t next_part(const struct hidden *hidden, uint64_t from, uint64_t *end)
{
    size_t i = first_behind(hidden, from);

    for (; i < hidden->count && hidden->list[i].start <= from; i++)
        from = hidden->list[i].end;
    if (i < hidden->count && hidden->list[i].start < *end)
        *end = hidden->list[i].start;
    return from;
}

static uint64_t pages_in(uint64_t vec, long count)
{
    const struct region *regions = (const struct region *)vec;
    uint64_t pages = 0;

    for (long i = 0; i < count; i++)
        pages += (regions[i].end - regions[i].start) / PAGE;
    return pages;
}

/* Part by part, as if one scan had found the rest empty. */
static long scan_around(int fd, const struct hidden *hidden, struct scan *scan)
{
    uint64_t at = scan->start;
    uint64_t pages = 0;
    long found = 0;

    for (;;) {
        struct scan part = *scan;
        long n;

        part.start = at = next_part(hidden, at, &part.end);
        if (at >= scan->end) {
            scan->walk_end = scan->end;
            return found;
        }
        scan->walk_end = at;
        /* Full between two parts. */
        if ((uint64_t)found == scan->vec_len || (scan->max_pages && pages >= scan->max_pages))
            return found;
        part.walk_end = 0;
        part.vec += (uint64_t)found * sizeof(struct region);
        part.vec_len -= (uint64_t)found;
        part.max_pages -= pages;
        n = call(SYS_ioctl, fd, SCAN_REQUEST, (long)&part, 0);
        scan->walk_end = part.walk_end;
        if (n < 0)
            return n;
        pages += scan->max_pages ? pages_in(part.vec, n) : 0;
        found += n;
        if (part.walk_end < part.end)
            return found;
        at = part.end;
    }
}

/* A scan that can find hidden pages, and is of the kind we know. */
static bool is_concerned(const struct hidden *hidden, const struct scan *scan)
{
    size_t i;

    if (!hidden->count || !scan || scan->size != sizeof(*scan) || !scan->vec || !scan->vec_len)
        return false;
    if (scan->start % PAGE || scan->start >= scan->end)
        return false;
    if (scan->category_mask & ~scan->category_inverted & IS_GUARD)
        return false;
    i = first_behind(hidden, scan->start);
    return i < hidden->count && hidden->list[i].start < scan->end;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list more;
    long argument;

    va_start(more, request);
    argument = va_arg(more, long);
    va_end(more);
    if (request == SCAN_REQUEST) {
        struct hidden hidden = hidden_from(fd);

        if (is_concerned(&hidden, (const struct scan *)argument))
            return (int)outcome(scan_around(fd, &hidden, (struct scan *)argument));
    }
    return (int)outcome(call(SYS_ioctl, fd, (long)request, argument, 0));
}

/* A loop that stays one: no library's memset is at hand. */
static void wipe(char *buffer, long at, long end)
{
    while (at < end)
        ((volatile char *)buffer)[at++] = 0;
}

ssize_t pread64(int fd, void *buffer, size_t size, off_t from)
{
    long n = call(SYS_pread64, fd, (long)buffer, (long)size, from);
    struct hidden hidden;

    if (n <= 0)
        return outcome(n);
    hidden = hidden_from(fd);
    for (size_t i = 0; i < hidden.count; i++) {
        long start = (long)(hidden.list[i].start / PAGE * ENTRY) - from;
        long end = (long)(hidden.list[i].end / PAGE * ENTRY) - from;

        wipe(buffer, start > 0 ? start : 0, end < n ? end : n);
    }
    return n;
}

ssize_t pread(int fd, void *buffer, size_t size, off_t from) __attribute__((alias("pread64")));
