/*
 * One thread in one kind of system call, over and over: waiter KIND FAULTS ROUNDS
 *
 * FAULTS gets a line whenever a call ends with anything but what it must. ROUNDS, 8 bytes, counts them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NS = 15000000 };

static int faults;
static int timer;
static int epoll;
static volatile sig_atomic_t handled;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(const char *what, int right, long result, double start)
{
    char line[120];
    int error = errno;
    int n;

    /* Neither too early, nor twice as long (but for a machine that is busy). */
    if (right && now() - start >= NS / 1e9 - 1e-6)
        return;
    n = snprintf(line, sizeof(line), "%s %ld %s after %g\n", what, result, strerror(error), now() - start);
    if (write(faults, line, (size_t)n) != n)
        abort();
}

static void handle(int number)
{
    (void)number;
    handled = 1;
}

static void arm(void)
{
    struct itimerspec when = {.it_value = {0, NS}};
    struct itimerval alarm = {.it_value = {0, NS / 1000}};

    handled = 0;
    timerfd_settime(timer, 0, &when, NULL);
    setitimer(ITIMER_REAL, &alarm, NULL);
}

static void wait_for_child(double start)
{
    pid_t child = fork();
    int status = 0;
    pid_t ended;

    if (child == 0) {
        usleep(NS / 1000);
        _exit(7);
    }
    ended = wait(&status);
    must("wait", ended == child && status == 7 << 8, ended, start);
}

static void open_files(double start)
{
    static int wanted = -1;

    while (now() - start < NS / 1e9) {
        int fd = open("/dev/null", O_RDONLY);

        if (wanted < 0)
            wanted = fd;
        if (fd != wanted)
            must("open", 0, fd, start);
        close(fd);
    }
}

static void compute(double start)
{
    double a = 1;
    uint64_t h = 1;

    while (now() - start < NS / 1e9) {
        a = a * 1.0000001;
        h = (h ^ 7) * 0x100000001b3ULL;
        if ((h & 1) != 0 && a < 1)
            must("compute", 0, 0, start);
    }
}

static void round_of(const char *kind, double start)
{
    struct timespec t = {0, NS};
    struct timeval v = {0, NS / 1000};
    struct epoll_event event;
    sigset_t alarm;
    siginfo_t info;
    uint64_t ticks = 0;
    long n;
    int word = 1;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    if (strcmp(kind, "nanosleep") == 0) {
        n = syscall(SYS_nanosleep, &t, NULL);
        must(kind, n == 0, n, start);
    } else if (strcmp(kind, "poll") == 0) {
        n = syscall(SYS_poll, NULL, 0, NS / 1000000);
        must(kind, n == 0, n, start);
    } else if (strcmp(kind, "select") == 0) {
        n = syscall(SYS_select, 0, NULL, NULL, NULL, &v);
        must(kind, n == 0, n, start);
    } else if (strcmp(kind, "futex") == 0) {
        n = syscall(SYS_futex, &word, FUTEX_WAIT, 1, &t, NULL, 0);
        must(kind, n == -1 && errno == ETIMEDOUT, n, start);
    } else if (strcmp(kind, "pause") == 0) {
        sigset_t none;

        sigemptyset(&none);
        arm();
        n = sigsuspend(&none);
        must(kind, n == -1 && errno == EINTR && handled, n, start);
    } else if (strcmp(kind, "read") == 0) {
        arm();
        n = read(timer, &ticks, 8);
        must(kind, n == 8 && ticks == 1, n, start);
    } else if (strcmp(kind, "epoll") == 0) {
        arm();
        n = epoll_wait(epoll, &event, 1, -1);
        must(kind, n == 1, n, start);
    } else if (strcmp(kind, "signal") == 0) {
        arm();
        n = sigwaitinfo(&alarm, &info);
        must(kind, n == SIGALRM, n, start);
    } else if (strcmp(kind, "wait") == 0) {
        wait_for_child(start);
    } else if (strcmp(kind, "open") == 0) {
        open_files(start);
    } else {
        compute(start);
    }
    /* For the next round. */
    while (sigtimedwait(&alarm, NULL, &(struct timespec){0, 0}) > 0)
        continue;
}

int main(int argc, char **argv)
{
    struct epoll_event in = {.events = EPOLLIN};
    volatile uint64_t *rounds;
    struct sigaction action = {.sa_handler = handle};
    sigset_t alarm;
    int fd;

    if (argc != 4)
        return 2;
    faults = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0666);
    fd = open(argv[3], O_RDWR | O_CREAT, 0666);
    if (faults < 0 || fd < 0 || ftruncate(fd, 8) < 0)
        return 2;
    rounds = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    timer = timerfd_create(CLOCK_MONOTONIC, 0);
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &in);
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm, NULL);
    for (;;) {
        round_of(argv[1], now());
        *rounds += 1;
    }
}
