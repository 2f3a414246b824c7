/*
 * Takes every signal that can be caught, and appends a line for each to a file:
 *   THREAD NUMBER CODE PID UID VALUE        THREAD: main, or aux, which takes AUX_SIGNALS only
 * after a first line `start PID TID-of-aux`. The raw system calls: glibc hides 32 and 33 and falsifies codes.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SIGUSR_AUX = SIGUSR2, REALTIME_AUX = 64 };

static const uint64_t aux_signals = 1ULL << (SIGUSR_AUX - 1) | 1ULL << (REALTIME_AUX - 1);
static int log_fd;
static int ready[2];

static void take(const char *thread, uint64_t wanted)
{
    for (;;) {
        siginfo_t info;
        char line[128];
        int length;

        memset(&info, 0, sizeof(info));
        if (syscall(SYS_rt_sigtimedwait, &wanted, &info, NULL, sizeof(wanted)) < 0)
            continue;
        length = snprintf(line, sizeof(line), "%s %d %d %d %d %d\n", thread, info.si_signo, info.si_code,
                          info.si_pid, (int)info.si_uid, info.si_value.sival_int);
        if (write(log_fd, line, (size_t)length) != length)
            abort();
    }
}

static void *aux(void *unused)
{
    pid_t tid = (pid_t)syscall(SYS_gettid);

    (void)unused;
    if (write(ready[1], &tid, sizeof(tid)) != sizeof(tid))
        abort();
    take("aux", aux_signals);
    return NULL;
}

int main(int argc, char **argv)
{
    const uint64_t all = ~0ULL;
    char line[64];
    pthread_t thread;
    pid_t tid;

    if (argc != 2 || (log_fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0 || pipe(ready) < 0)
        return 2;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
    if (pthread_create(&thread, NULL, aux, NULL) || read(ready[0], &tid, sizeof(tid)) != sizeof(tid))
        return 2;
    close(ready[0]);
    close(ready[1]);
    if (write(log_fd, line, (size_t)snprintf(line, sizeof(line), "start %d %d\n", getpid(), tid)) < 0)
        return 2;
    take("main", all & ~aux_signals);
}
