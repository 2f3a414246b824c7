/*
 * Fills memory with a pattern, goes on changing it, and checks all of it for ever.
 *
 *   pattern MEGABYTES WRITES_PER_SECOND STATUS FILE SEED
 *
 * Each page says which one it is and how often it was written; how often it should have been stands elsewhere. So
 * a page that is another one's, or an older one of its own, is wrong, and tells whose it is. STATUS is replaced about ten times a
 * second by one line of words and numbers: passes, checked, writes, mapped, wrong; then "ready" once all is
 * filled. A wrong page is told on a line of its own, the first ten. FILE (made here) is mapped privately.
 * WRITES_PER_SECOND 0: nothing changes after "ready", neither pages nor areas.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / 8, PARTS = 16, SPECIAL = 4, AREAS = PARTS + SPECIAL, STEP_US = 2000 };
enum { CHECKS_PER_STEP = 128, CHURN_STEPS = 50 };

struct area {
    const char *kind;
    char *base;
    size_t pages;
    uint32_t *versions; /* 0: a page of zeros */
    uint32_t id;        /* another one each time it is mapped anew */
};

static struct area areas[AREAS];
static uint64_t seed, passes, checked, writes, mapped, wrong;
static uint64_t state;
static uint32_t last_id;
static const char *status_path;
static char complaints[4096];
static bool ready;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static uint64_t next(void)
{
    return mix(state += 0x9e3779b97f4a7c15ULL);
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void complain(const char *format, ...)
{
    size_t used = strlen(complaints);
    va_list arguments;

    if (++wrong > 10)
        return;
    va_start(arguments, format);
    vsnprintf(complaints + used, sizeof(complaints) - used, format, arguments);
    va_end(arguments);
}

/* What a page begins with, and what follows is made of. */
struct face {
    uint64_t name, version, key;
};

static struct face face(const struct area *area, size_t page)
{
    uint64_t name = (uint64_t)area->id << 32 | page;
    uint64_t version = area->versions[page];

    return (struct face){name, version, mix(seed ^ mix(name) ^ version)};
}

static uint64_t word(const struct face *face, int i)
{
    if (face->version == 0 || i == 1)
        return face->version;
    return i == 0 ? face->name : face->key + (uint64_t)i * 0x9e3779b97f4a7c15ULL;
}

static void write_page(struct area *area, size_t page)
{
    uint64_t *words = (uint64_t *)(area->base + page * PAGE);
    struct face is;

    area->versions[page]++;
    is = face(area, page);
    for (int i = 0; i < WORDS; i++)
        words[i] = word(&is, i);
    writes++;
}

static void check_page(const struct area *area, size_t page)
{
    const uint64_t *words = (const uint64_t *)(area->base + page * PAGE);
    const struct face is = face(area, page);

    checked++;
    for (int i = 0; i < WORDS; i++) {
        if (words[i] != word(&is, i)) {
            complain("WRONG %s page %zu of %zu at %p area %u version %u word %d: it says area %" PRIu64
                     " page %" PRIu64 " version %" PRIu64 "\n",
                     area->kind, page, area->pages, (const void *)words, area->id, area->versions[page], i,
                     words[0] >> 32, words[0] & UINT32_MAX, words[1]);
            return;
        }
    }
}

static void report(void)
{
    char next_path[512];
    FILE *out;

    snprintf(next_path, sizeof(next_path), "%s.new", status_path);
    out = fopen(next_path, "we");
    if (!out)
        die(next_path);
    fprintf(out, "passes %" PRIu64 " checked %" PRIu64 " writes %" PRIu64 " mapped %" PRIu64 " wrong %" PRIu64 "%s\n%s",
            passes, checked, writes, mapped, wrong, ready ? " ready" : "", complaints);
    if (fclose(out) != 0 || rename(next_path, status_path) != 0)
        die(next_path);
}

static void fill(struct area *area)
{
    area->id = ++last_id;
    for (size_t page = 0; page < area->pages; page++) {
        area->versions[page] = 0;
        if (page % 16 != 15) /* some are never touched */
            write_page(area, page);
    }
}

static void map(struct area *area, const char *kind, size_t pages, int flags, int fd)
{
    area->kind = kind;
    area->pages = pages;
    area->base = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (area->base == MAP_FAILED)
        die(kind);
    if (!area->versions)
        area->versions = calloc(pages, sizeof(*area->versions));
    if (!area->versions)
        die("versions");
    mapped++;
}

/* A page of the file is right before it is written: its pattern is in the file. */
static int make_file(const char *path, struct area *area, size_t pages)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE)) < 0)
        die(path);
    map(area, "file-private", pages, MAP_SHARED, fd);
    fill(area);
    if (munmap(area->base, pages * PAGE) < 0)
        die(path);
    return fd;
}

static void map_all(size_t bytes, const char *file)
{
    size_t part = bytes / PARTS / PAGE;
    size_t some = part < 4096 ? part : 4096;
    size_t huge = (some + 511) / 512 * 512;
    struct area *area = areas;
    int fd;

    for (int i = 0; i < PARTS; i++, area++) {
        map(area, "private", part, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        fill(area);
    }
    map(area, "shared", some, MAP_SHARED | MAP_ANONYMOUS, -1);
    fill(area++);
    fd = make_file(file, area, some);
    area->base = mmap(NULL, some * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (area->base == MAP_FAILED)
        die(file);
    close(fd);
    area++;
    area->base = mmap(NULL, huge * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (area->base == MAP_FAILED) {
        /* No pool of huge pages here: transparent ones. */
        map(area, "transparent-huge", huge, MAP_PRIVATE | MAP_ANONYMOUS, -1);
        madvise(area->base, huge * PAGE, MADV_HUGEPAGE);
    } else {
        area->kind = "huge";
        area->pages = huge;
        area->versions = calloc(huge, sizeof(*area->versions));
        mapped++;
    }
    fill(area++);
    map(area, "locked", 64, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (mlock(area->base, 64 * PAGE) < 0)
        area->kind = "not-locked";
    fill(area);
}

/* Something happens to one of the private areas. */
static void churn(void)
{
    struct area *area = &areas[next() % PARTS];
    size_t size = area->pages * PAGE;
    size_t page = next() % area->pages;
    size_t count = 1 + next() % 64;
    char *to;

    if (page + count > area->pages)
        count = area->pages - page;
    switch (next() % 6) {
    case 0: /* gone, and another one in its place */
        if (munmap(area->base, size) < 0)
            die("munmap");
        to = mmap(area->base, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (to == MAP_FAILED)
            die("mmap");
        mapped++;
        area->id = ++last_id;
        memset(area->versions, 0, area->pages * sizeof(*area->versions));
        for (size_t i = 0; i < count; i++)
            write_page(area, page + i);
        break;
    case 1: /* it moves */
        to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (to == MAP_FAILED || mremap(area->base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
            die("mremap");
        area->base = to;
        mapped++;
        break;
    case 2: /* a part is dropped: zeros */
        if (madvise(area->base + page * PAGE, count * PAGE, MADV_DONTNEED) < 0)
            die("madvise");
        memset(area->versions + page, 0, count * sizeof(*area->versions));
        break;
    case 3: /* nobody may read it for a while, then only read */
        if (mprotect(area->base + page * PAGE, count * PAGE, PROT_NONE) < 0)
            die("mprotect");
        usleep(1000);
        if (mprotect(area->base + page * PAGE, count * PAGE, PROT_READ) < 0)
            die("mprotect");
        for (size_t i = 0; i < count; i++)
            check_page(area, page + i);
        if (mprotect(area->base + page * PAGE, count * PAGE, PROT_READ | PROT_WRITE) < 0)
            die("mprotect");
        break;
    default: /* written from end to end */
        for (size_t i = 0; i < count; i++)
            write_page(area, page + i);
    }
}

static void loop(uint64_t rate)
{
    size_t at_area = 0, at_page = 0;
    uint64_t due = 0;

    for (uint64_t step = 1;; step++) {
        const struct timespec pause = {.tv_nsec = STEP_US * 1000};

        for (due += rate * STEP_US; due >= 1000000; due -= 1000000) {
            struct area *area = &areas[next() % AREAS];

            write_page(area, next() % area->pages);
        }
        for (int i = 0; i < CHECKS_PER_STEP; i++) {
            check_page(&areas[at_area], at_page);
            if (++at_page == areas[at_area].pages) {
                at_page = 0;
                if (++at_area == AREAS) {
                    at_area = 0;
                    passes++;
                }
            }
        }
        if (rate > 0 && step % CHURN_STEPS == 0)
            churn();
        if (step % 50 == 0)
            report();
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: pattern MEGABYTES WRITES_PER_SECOND STATUS FILE SEED\n");
        return 2;
    }
    status_path = argv[3];
    state = seed = strtoull(argv[5], NULL, 10);
    map_all((size_t)strtoull(argv[1], NULL, 10) << 20, argv[4]);
    ready = true;
    report();
    loop(strtoull(argv[2], NULL, 10));
}
