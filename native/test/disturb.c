/*
 * A program that notices disturbance: disturb FAULTS ROUNDS
 *
 * Each thread sits in a system call, or computes, over and over, and compares what comes out with what must.
 * A signal that is blocked (all are) must change nothing. FAULTS gets a line per difference; ROUNDS a line
 * per second with the number of rounds done by each thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int faults;
static volatile long rounds[8];

static void fault(const char *where, long value)
{
    char line[100];
    int n = snprintf(line, sizeof(line), "%s %ld %s\n", where, value, strerror(errno));

    if (write(faults, line, (size_t)n) != n)
        abort();
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *sleeping(void *unused)
{
    for (;; rounds[0]++) {
        struct timespec t = {0, 50000000};
        double start = now();
        long result = syscall(SYS_nanosleep, &t, NULL);

        if (result != 0 || now() - start < 0.05)
            fault("nanosleep", result);
    }
    return unused;
}

static void *polling(void *unused)
{
    for (;; rounds[1]++) {
        double start = now();
        long result = syscall(SYS_poll, NULL, 0, 50);

        if (result != 0 || now() - start < 0.05)
            fault("poll", result);
    }
    return unused;
}

static void *reading(void *end)
{
    for (;; rounds[2]++) {
        char byte = 0;
        long result = syscall(SYS_read, *(int *)end, &byte, 1);

        if (result != 1 || byte != 'x')
            fault("read", result);
    }
    return NULL;
}

static void *writing(void *end)
{
    for (;; rounds[3]++) {
        usleep(20000);
        if (write(*(int *)end, "x", 1) != 1)
            fault("write", -1);
    }
    return NULL;
}

static void *computing(void *unused)
{
    double wanted = 0;

    for (;; rounds[4]++) {
        double a = 1, b = 2, c = 3, d = 5;
        uint64_t h = 1;

        for (int i = 0; i < 300000; i++) {
            a = a * 1.0000001 + b * 1e-9;
            b = b * 0.9999999 + c * 1e-9;
            c += d * 1e-9;
            d = d > 6 ? 5 : d + 1e-7;
            h = (h ^ (uint64_t)i) * 0x100000001b3ULL;
        }
        a += b + c + d + (double)(h >> 40);
        if (wanted == 0)
            wanted = a;
        if (a != wanted)
            fault("computation", 0);
    }
    return unused;
}

static void *calling(void *unused)
{
    pid_t wanted = getpid();

    for (;; rounds[5]++) {
        long result = syscall(SYS_getppid) * 0 + syscall(SYS_getpid);

        if (result != wanted)
            fault("getpid", result);
    }
    return unused;
}

static void *waiting(void *unused)
{
    int epoll = epoll_create1(0);
    int event = eventfd(0, 0);
    struct epoll_event e = {.events = EPOLLIN};
    double start = now();

    epoll_ctl(epoll, EPOLL_CTL_ADD, event, &e);
    for (;; rounds[6]++) {
        long result = syscall(SYS_epoll_wait, epoll, &e, 1, -1);

        fault("epoll_wait", result + (long)(now() - start));
    }
    return unused;
}

int main(int argc, char **argv)
{
    uint64_t all = ~0ULL;
    pthread_t thread;
    int ends[2];

    if (argc != 3 || pipe(ends) < 0)
        return 2;
    faults = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
    pthread_create(&thread, NULL, sleeping, NULL);
    pthread_create(&thread, NULL, polling, NULL);
    pthread_create(&thread, NULL, reading, &ends[0]);
    pthread_create(&thread, NULL, writing, &ends[1]);
    pthread_create(&thread, NULL, computing, NULL);
    pthread_create(&thread, NULL, calling, NULL);
    pthread_create(&thread, NULL, waiting, NULL);
    for (;;) {
        struct timespec t = {0, 100000000};
        char line[200];
        int fd = open(argv[2], O_WRONLY | O_CREAT, 0600);
        int n = snprintf(line, sizeof(line), "%ld %ld %ld %ld %ld %ld\n", rounds[0], rounds[1], rounds[2],
                         rounds[3], rounds[4], rounds[5]);

        if (write(fd, line, (size_t)n) != n)
            return 1;
        close(fd);
        if (syscall(SYS_nanosleep, &t, NULL) < 0)
            fault("main", -1);
    }
}
