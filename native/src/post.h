/* The processes of a cell, as post knows them. */
#ifndef EXILE_POST_H
#define EXILE_POST_H

#include "proc.h"
#include "record.h"
#include "shim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_MEMBERS = 1024 };

struct member {
    pid_t inner; /* as the cell counts */
    pid_t pid;   /* as we count */
    int pidfd;   /* as long as it has not been reaped, pid is no other's */
    uint64_t base;
    bool watched;
};

struct post {
    uint64_t owner;
    pid_t init;
    struct records records;
    struct member members[MAX_MEMBERS];
    size_t count;
};

/* Finds it, or NULL: there is none, or it has ended. Valid until the next call. */
struct member *members_find(struct post *post, pid_t inner);

/*
 * The thread, as we count, that the cell calls *tid; for 0 the leader. Where the leader has ended while
 * others live, one of those, and *tid says so. -ESRCH.
 */
must_use pid_t member_thread(const struct member *member, pid_t *tid);

/* Sleeps until the descriptor is readable. Tells meanwhile the end of those watched. */
must_use int members_wait(struct post *post, int fd);

/* Takes our stubs out of those that we put them into. */
void members_wipe(struct post *post);

#endif
