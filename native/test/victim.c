/*
 * A program to be turned into a deputy, or to receive signals: victim LOG COUNT THREADS [busy]
 *
 * The main thread logs every signal that it takes; each further thread those sent to it alone (the numbers
 * from SIGRTMIN + 20 up are theirs). One more thread counts into COUNT, asleep or busy, for ever.
 * LOG lines: thread's number, signal, code, pid, uid, value.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int log_fd;
static volatile uint64_t *count;
static int busy;
static volatile uint64_t ballast[1 << 18];

static void log_line(long thread, const siginfo_t *info)
{
    char line[200];
    int n = snprintf(line, sizeof(line), "%ld %d %d %d %d %d\n", thread, info->si_signo, info->si_code,
                     info->si_pid, (int)info->si_uid, info->si_value.sival_int);

    if (write(log_fd, line, (size_t)n) != n)
        abort();
}

static void log_signals(long thread, uint64_t set)
{
    for (;;) {
        siginfo_t info;

        memset(&info, 0, sizeof(info));
        if (syscall(SYS_rt_sigtimedwait, &set, &info, NULL, 8) > 0)
            log_line(thread, &info);
    }
}

static uint64_t threads_own(void)
{
    return ~0ULL << (SIGRTMIN + 20 - 1);
}

static void *log_own(void *number)
{
    log_signals((long)number, threads_own());
    return NULL;
}

static void *tick(void *unused)
{
    for (;;) {
        (*count)++;
        if (!busy)
            usleep(500);
    }
    return unused;
}

int main(int argc, char **argv)
{
    uint64_t all = ~0ULL;
    long threads = argc > 3 ? atol(argv[3]) : 0;
    int fd = open(argv[2], O_RDWR | O_CREAT, 0600);
    pthread_t thread;

    busy = argc > 4;
    log_fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log_fd < 0 || fd < 0 || ftruncate(fd, 8) < 0)
        return 1;
    count = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (size_t i = 0; i < sizeof(ballast) / 8; i += 512)
        ballast[i] = i + 1;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
    pthread_create(&thread, NULL, tick, NULL);
    for (long i = 1; i <= threads; i++)
        pthread_create(&thread, NULL, log_own, (void *)i);
    log_signals(0, ~threads_own());
}
