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

bool siginfo_is_own(const siginfo_t *info)
{
    /* setitimer and alarm have no code of their own: the kernel is their sender. */
    bool kernel = info->si_code == SI_KERNEL;

    if (info->si_code == SI_TIMER)
        return true;
    switch (info->si_signo) {
    case SIGCHLD:
        return info->si_code > 0 && !kernel;
    case SIGALRM:
    case SIGVTALRM:
    case SIGPROF:
    case SIGURG:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGPIPE:
        return kernel;
    case SIGIO:
        return info->si_code > 0;
    default:
        return false;
    }
}
