#include "siginfo.h"

#include <errno.h>
#include <string.h>

void siginfo_print(const siginfo_t *info, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)info;

    for (int i = 0; i < SIGINFO_BYTES; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }
    *text = 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int siginfo_parse(const char *text, siginfo_t *info)
{
    unsigned char *bytes = (unsigned char *)info;

    if (strlen(text) != SIGINFO_TEXT - 1)
        return -EINVAL;
    memset(info, 0, sizeof(*info));
    for (int i = 0; i < SIGINFO_BYTES; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return -EINVAL;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return info->si_signo > 0 && info->si_signo < _NSIG ? 0 : -EINVAL;
}

/* Sent by the kernel without a code that tells why: mostly by a terminal, for whoever is there. */
static bool kernels_own(int number)
{
    switch (number) {
    case SIGILL:
    case SIGTRAP:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGSYS:
    case SIGCHLD:
    case SIGALRM: /* setitimer and alarm */
    case SIGVTALRM:
    case SIGPROF:
    case SIGURG:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGPIPE:
    case SIGIO:
        return true;
    default:
        return false;
    }
}

bool siginfo_is_own(const siginfo_t *info, pid_t self)
{
    switch (info->si_code) {
    case SI_TIMER:
    case SI_MESGQ:
    case SI_SIGIO:
        return true;
    case SI_KERNEL:
        return kernels_own(info->si_signo);
    default:
        /* Other processes may use no code above 0. */
        return info->si_code > 0 || info->si_pid == self;
    }
}
