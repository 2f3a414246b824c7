/* A time namespace whose clocks go on as those of another host did: see time_namespaces(7). */
#ifndef EXILE_CLOCKS_H
#define EXILE_CLOCKS_H

#include "shim.h"

#include <stdbool.h>
#include <sys/types.h>

/* In nanoseconds, against our own clocks. */
struct clocks {
    bool given;
    long long monotonic, boottime;
};

/* MONOTONIC:BOOTTIME. -EINVAL otherwise. */
must_use int clocks_parse(const char *text, struct clocks *clocks);

/*
 * Whom we fork from now on lives in a new time namespace with these clocks; where none are given, in ours. Negative:
 * it cannot be, and they live in ours.
 */
must_use int clocks_shift(const struct clocks *clocks);

/* We, and whom we fork, live in that process's time namespace from now on; it may be in any state. */
must_use int clocks_join(pid_t pid);

#endif
