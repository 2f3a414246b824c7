/*
 * The cgroup v2 freezer and the way of processes out of a cgroup again.
 * A cgroup is named by a descriptor of its directory (cgroup_open) and, to remove it, by its path.
 */
#ifndef EXILE_CGROUP_H
#define EXILE_CGROUP_H

#include "shim.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where a process came from. */
struct back {
    pid_t pid;
    const char *cgroup;
};

/* PID=CGROUPDIR, the directory absolute. `back->cgroup` points into the text. -EINVAL otherwise. */
must_use int back_parse(const char *text, struct back *back);

/* The `frozen` line of a cgroup.events file: 0, 1, or -EINVAL if there is none. */
must_use int cgroup_parse_frozen(const char *events);

must_use int cgroup_open(const char *path);

/*
 * Freezes or thaws, and waits until the kernel says that it is so. Processes inside may be in any state;
 * they are left frozen (or running), wholly. -ETIMEDOUT: asked for, but not so yet.
 */
must_use int cgroup_set_frozen(int cgroup, bool frozen, int timeout_ms);

/*
 * Moves every process back to its own origin, or, if it has none of its own or that one refuses it, to the
 * first origin listed. Expects a thawed cgroup; repeats for what is forked meanwhile. 0: the cgroup is empty.
 */
must_use int cgroup_empty(int cgroup, const struct back *backs, size_t count);

/* Moves one process back, by the same rule. Out of a frozen cgroup into one that is not: it alone may run. */
must_use int cgroup_move_back(pid_t pid, const struct back *backs, size_t count);

/* The pid of one process in the cgroup, or 0 if it is empty. */
must_use pid_t cgroup_first(int cgroup);

/* rmdir, with some patience for EBUSY: a process that is just dying still counts. */
must_use int cgroup_remove(const char *path);

#endif
