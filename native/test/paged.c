/*
 * Plays CRIU's restore and the process that it restores: makes mappings, hands their userfaultfd to the pager,
 * and looks at what comes. Each page is known by its address at the dump; some are zeros.
 *
 *   paged write STORE START END     puts the pages of this range into a store
 *   paged DIR VPID START END ...        makes these mappings at those addresses, and obeys lines "TAG COMMAND
 *                                       ARGUMENTS", each in a thread of its own, which says "TAG ANSWER"
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, WORDS = PAGE / 8, LINE = 256, BLOCK = 64 };

static int criu;

static void die(const char *what)
{
    fprintf(stderr, "paged: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static bool is_hole(uint64_t address)
{
    uint64_t page = address / PAGE;

    return page % 16 == 3 || page / 256 % 5 == 4;
}

static void pattern(uint64_t address, uint64_t *words)
{
    for (size_t i = 0; i < WORDS; i++)
        words[i] = is_hole(address) ? 0 : (address + i) * 0x9e3779b97f4a7c15U;
}

static void write_store(const char *path, uint64_t start, uint64_t end)
{
    static uint64_t words[BLOCK][WORDS];
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    size_t n = 0;

    if (fd < 0)
        die(path);
    for (uint64_t a = start; a <= end; a += PAGE) {
        if (n > 0 && (a == end || is_hole(a) || n == BLOCK)) {
            if (pwrite(fd, words, n * PAGE, (off_t)(a - n * PAGE)) != (ssize_t)(n * PAGE))
                die("pwrite");
            n = 0;
        }
        if (a < end && !is_hole(a))
            pattern(a, words[n++]);
    }
    close(fd);
}

static int make_uffd(void)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
                                         UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMOVE};
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
        die("userfaultfd");
    return fd;
}

static void map(int uffd, uint64_t start, uint64_t end)
{
    void *wanted = (void *)(uintptr_t)start;
    void *got = mmap(wanted, end - start, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
    struct uffdio_register area = {.range = {start, end - start}, .mode = UFFDIO_REGISTER_MODE_MISSING};

    if (got != wanted || (uffd >= 0 && ioctl(uffd, UFFDIO_REGISTER, &area) < 0))
        die("cannot map");
}

static void greet(const char *directory, int pid, int uffd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "lazy-pages.socket"};
    char byte = 0;
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    criu = socket(AF_UNIX, SOCK_STREAM, 0);
    if (chdir(directory) < 0 || connect(criu, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("cannot connect");
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &uffd, sizeof(int));
    if (send(criu, &pid, sizeof(pid), 0) != sizeof(pid) || sendmsg(criu, &message, 0) != 1)
        die("cannot send");
    pid = -pid - 1; /* and a zombie */
    if (send(criu, &pid, sizeof(pid), 0) != sizeof(pid))
        die("cannot send");
    close(uffd);
}

/* Compares memory with what was at `dump`, or with zeros. */
static void check(uint64_t start, uint64_t size, uint64_t dump, bool zero, char *answer)
{
    uint64_t words[WORDS] = {0};

    for (uint64_t done = 0; done < size; done += PAGE) {
        const void *page = (const void *)(uintptr_t)(start + done);

        if (!zero)
            pattern(dump + done, words);
        if (memcmp(page, words, PAGE) != 0) {
            snprintf(answer, LINE, "bad %lx has %lx not %lx", start + done, *(const uint64_t *)page,
                     words[0]);
            return;
        }
    }
    snprintf(answer, LINE, "good");
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(uint64_t start, uint64_t size, uint64_t stride, char *answer)
{
    size_t count = size / stride;
    double *took = calloc(count, sizeof(double));

    for (size_t i = 0; i < count; i++) {
        struct timespec a;
        struct timespec b;

        clock_gettime(CLOCK_MONOTONIC, &a);
        (void)*(volatile char *)(uintptr_t)(start + i * stride);
        clock_gettime(CLOCK_MONOTONIC, &b);
        took[i] = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
    }
    qsort(took, count, sizeof(double), ascending);
    snprintf(answer, LINE, "took %.1f %.1f %.1f", took[count / 2], took[count * 99 / 100], took[count - 1]);
    free(took);
}

/* Looks at pages in a random order. */
static void wander(uint64_t start, uint64_t size, uint64_t seed, char *answer)
{
    unsigned int random = (unsigned int)seed;

    snprintf(answer, LINE, "good");
    for (uint64_t i = 0; i < size / PAGE && answer[0] == 'g'; i++) {
        uint64_t at = start + (uint64_t)rand_r(&random) % (size / PAGE) * PAGE;

        check(at, PAGE, at, false, answer);
    }
}

static void in_child(uint64_t start, uint64_t size, uint64_t dump, char *answer)
{
    int ends[2];
    ssize_t n;
    pid_t child;

    if (pipe(ends) < 0)
        die("pipe");
    child = fork();
    if (child == 0) {
        check(start, size, dump, false, answer);
        _exit(write(ends[1], answer, LINE) != LINE);
    }
    close(ends[1]);
    n = read(ends[0], answer, LINE);
    close(ends[0]);
    waitpid(child, NULL, 0);
    if (n != LINE)
        snprintf(answer, LINE, "bad child");
}

/* Memory in parts, of which each page is as it was at some address at the dump, or zeros, or was written since. */
struct part {
    char *base;
    uint64_t *as; /* of each page; 0: zeros */
};

enum { PARTS = 16, OPERATIONS = 5000, MOST_TOUCHED = 48 };

static bool is_as(const struct part *part, size_t page, char *answer)
{
    uint64_t address = (uint64_t)(uintptr_t)(part->base + page * PAGE);

    check(address, PAGE, part->as[page], part->as[page] == 0, answer);
    return answer[0] == 'g';
}

static void rewrite(struct part *part, size_t page)
{
    static uint64_t last = 1ULL << 52;

    part->as[page] = last += PAGE;
    pattern(last, (uint64_t *)(part->base + page * PAGE));
}

static void map_anew(struct part *part, size_t size)
{
    if (munmap(part->base, size) < 0 || mmap(part->base, size, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != part->base)
        die("map anew");
    memset(part->as, 0, size / PAGE * sizeof(*part->as));
}

static void move_away(struct part *part, size_t size)
{
    char *to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (to == MAP_FAILED || mremap(part->base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
        die("move");
    part->base = to;
}

/* One thing happens to some pages of a part. */
static bool happen(struct part *part, size_t pages, unsigned int *random, char *answer)
{
    size_t first = (size_t)rand_r(random) % pages;
    size_t count = 1 + (size_t)rand_r(random) % MOST_TOUCHED;
    size_t last = first + count < pages ? first + count : pages;
    char *start = part->base + first * PAGE;
    int kind = rand_r(random) % 64;
    bool good = true;

    switch (kind) {
    case 0:
        map_anew(part, pages * PAGE);
        break;
    case 1:
    case 2:
        move_away(part, pages * PAGE);
        return true;
    case 3:
    case 4:
        if (madvise(start, (last - first) * PAGE, MADV_DONTNEED) < 0)
            die("drop");
        memset(part->as + first, 0, (last - first) * sizeof(*part->as));
        return true;
    case 5:
    case 6:
        if (mprotect(start, (last - first) * PAGE, PROT_NONE) < 0 ||
            mprotect(start, (last - first) * PAGE, PROT_READ) < 0)
            die("protect");
        break;
    default:
        break;
    }
    for (size_t page = first; page < last && good; page++) {
        if (kind >= 5 || rand_r(random) % 2)
            good = is_as(part, page, answer);
        if (kind == 0 || (kind > 6 && kind < 24))
            rewrite(part, page);
    }
    if ((kind == 5 || kind == 6) && mprotect(start, (last - first) * PAGE, PROT_READ | PROT_WRITE) < 0)
        die("protect");
    return good;
}

static void churn(uint64_t start, uint64_t size, uint64_t seed, char *answer)
{
    size_t pages = size / PAGE / PARTS;
    unsigned int random = (unsigned int)seed;
    struct part parts[PARTS];
    bool good = true;

    for (size_t i = 0; i < PARTS; i++) {
        parts[i].base = (char *)(uintptr_t)start + i * pages * PAGE;
        parts[i].as = calloc(pages, sizeof(*parts[i].as));
        for (size_t page = 0; page < pages; page++)
            parts[i].as[page] = start + (i * pages + page) * PAGE;
    }
    for (int i = 0; i < OPERATIONS && good; i++)
        good = happen(&parts[(size_t)rand_r(&random) % PARTS], pages, &random, answer);
    for (size_t i = 0; i < PARTS; i++) {
        for (size_t page = 0; page < pages && good; page++)
            good = is_as(&parts[i], page, answer);
        free(parts[i].as);
    }
}

static void said(bool failed, char *answer)
{
    snprintf(answer, LINE, failed ? "error %s" : "done", strerror(errno));
}

static bool move(uint64_t from, uint64_t size, uint64_t new_size, uint64_t to)
{
    return mremap((void *)(uintptr_t)from, size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED,
                  (void *)(uintptr_t)to) == MAP_FAILED;
}

static void obey(const char *word, uint64_t a, uint64_t b, uint64_t c, char *answer)
{
    void *start = (void *)(uintptr_t)a;
    const int finished = 0x52535446;

    if (strcmp(word, "check") == 0)
        check(a, b, c, false, answer);
    else if (strcmp(word, "zero") == 0)
        check(a, b, c, true, answer);
    else if (strcmp(word, "wander") == 0)
        wander(a, b, c, answer);
    else if (strcmp(word, "churn") == 0)
        churn(a, b, c, answer);
    else if (strcmp(word, "measure") == 0)
        measure(a, b, c, answer);
    else if (strcmp(word, "fork") == 0)
        in_child(a, b, c, answer);
    else if (strcmp(word, "drop") == 0)
        said(madvise(start, b, MADV_DONTNEED) < 0, answer);
    else if (strcmp(word, "unmap") == 0)
        said(munmap(start, b) < 0, answer);
    else if (strcmp(word, "map") == 0)
        said(mmap(start, b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != start,
             answer);
    else if (strcmp(word, "move") == 0)
        said(move(a, b, b, c), answer);
    else if (strcmp(word, "grow") == 0)
        said(move(a, b, b + c, a + (1UL << 36)), answer);
    else if (strcmp(word, "protect") == 0)
        said(mprotect(start, b, (int)c) < 0, answer);
    else if (strcmp(word, "finish") == 0)
        said(send(criu, &finished, sizeof(finished), 0) < 0 || close(criu) < 0, answer);
    else
        snprintf(answer, LINE, "error no command %s", word);
}

static void *thread(void *line)
{
    char tag[LINE] = "";
    char word[LINE] = "";
    char answer[LINE] = "";
    char whole[2 * LINE];
    uint64_t a = 0;
    uint64_t b = 0;
    uint64_t c = 0;

    if (sscanf(line, "%255s %255s %lx %lx %lx", tag, word, &a, &b, &c) < 2)
        die("no command");
    obey(word, a, b, c, answer);
    snprintf(whole, sizeof(whole), "%s %s\n", tag, answer);
    if (write(1, whole, strlen(whole)) < 0)
        die("write");
    free(line);
    return NULL;
}

int main(int argc, char **argv)
{
    char line[LINE];
    int uffd;

    if (argc == 5 && strcmp(argv[1], "write") == 0) {
        write_store(argv[2], strtoull(argv[3], NULL, 16), strtoull(argv[4], NULL, 16));
        return 0;
    }
    uffd = strcmp(argv[1], "-") == 0 ? -1 : make_uffd();
    for (int i = 3; i + 1 < argc; i += 2)
        map(uffd, strtoull(argv[i], NULL, 16), strtoull(argv[i + 1], NULL, 16));
    if (uffd >= 0)
        greet(argv[1], atoi(argv[2]), uffd);
    printf("ready %d\n", getpid());
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        pthread_t id;

        if (pthread_create(&id, NULL, thread, strdup(line)) != 0)
            die("pthread_create");
        pthread_detach(id);
    }
    return 0;
}
