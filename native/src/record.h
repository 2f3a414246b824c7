/*
 * What has been delivered, in a file that outlives whoever delivers: per process the number of its last
 * signal. So a successor, of ours or of the agent, never delivers one twice.
 *
 * The file: 16 bytes a process, its PID and that number, as this machine has them in memory. (For SIGSTOP
 * post gives a process a second PID.)
 */
#ifndef EXILE_RECORD_H
#define EXILE_RECORD_H

#include "shim.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MAX_RECORDS = 4096 };

struct record {
    uint64_t pid;
    uint64_t last;
};

struct records {
    int fd; /* -1: kept in memory only */
    size_t count;
    struct record list[MAX_RECORDS];
};

/* Reads the file, which is made where it is missing; NULL: none. */
must_use int records_open(struct records *records, const char *path);

/* True if this one is done already. */
must_use bool records_have(const struct records *records, pid_t pid, uint64_t number);

/* -ENOSPC: too many processes. */
must_use int records_set(struct records *records, pid_t pid, uint64_t number);

#endif
