/*
 * A program with handlers: handler LOG
 *
 * Main waits in sigsuspend for everything; a second thread never takes a signal. Each handler logs the
 * signal's number, whether main handled it, and whether the interrupted address was where main waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static int log_fd;
static unsigned long home;

static void handle(int number, siginfo_t *info, void *context)
{
    unsigned long rip = (unsigned long)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    char line[100];
    int n;

    if (!home)
        home = rip;
    n = snprintf(line, sizeof(line), "%d %d %d %d\n", number, info->si_code,
                 getpid() == (int)syscall(SYS_gettid), rip == home);
    if (write(log_fd, line, (size_t)n) != n)
        _exit(9);
}

static void *idle(void *unused)
{
    for (;;)
        pause();
    return unused;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    struct epoll_event event;
    int epoll = epoll_create1(0);
    pthread_t thread;

    if (argc != 2)
        return 2;
    log_fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    pthread_create(&thread, NULL, idle, NULL);
    raise(SIGUSR1);
    home = 0;
    if (write(log_fd, "ready\n", 6) != 6)
        return 1;
    for (;;) {
        /* A handler must end this wait, and nothing else may. */
        if (epoll_wait(epoll, &event, 1, -1) >= 0 || errno != EINTR || write(log_fd, "woken\n", 6) != 6)
            return 1;
    }
}
