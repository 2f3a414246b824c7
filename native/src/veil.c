#include "veil.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What LD_PRELOAD was before; empty: it was not. */
static char before[PATH_MAX];

int veil_find(const char **library)
{
    static const char name[] = "/exile-veil.so";
    static char path[PATH_MAX + sizeof(name)];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    char *slash;

    if (n < 0)
        return -errno;
    path[n] = 0;
    slash = strrchr(path, '/');
    if (!slash || strpbrk(path, " :"))
        return -EINVAL;
    memcpy(slash, name, sizeof(name));
    if (access(path, R_OK) < 0)
        return -errno;
    *library = path;
    return 0;
}

void veil_put_on(const char *file)
{
    const char *preload = getenv("LD_PRELOAD");
    const char *library;
    char both[2 * PATH_MAX];
    int size;

    if (!file || veil_find(&library) < 0)
        return;
    snprintf(before, sizeof(before), "%s", preload ? preload : "");
    size = snprintf(both, sizeof(both), "%s%s%s", library, *before ? ":" : "", before);
    /* Without memory for it CRIU is slower, no more. */
    if (size < (int)sizeof(both) && setenv("EXILE_VEIL", file, 1) == 0 && setenv("LD_PRELOAD", both, 1) == 0)
        return;
    veil_take_off();
}

void veil_take_off(void)
{
    if (!getenv("EXILE_VEIL"))
        return;
    unsetenv("EXILE_VEIL");
    if (!*before || setenv("LD_PRELOAD", before, 1) < 0)
        unsetenv("LD_PRELOAD");
}
