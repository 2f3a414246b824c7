/* What /proc tells of a process. Negative errno on failure; -ESRCH or -ENOENT if it is gone. */
#ifndef EXILE_PROC_H
#define EXILE_PROC_H

#include "shim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct pids {
    pid_t *list;
    size_t count;
    size_t room;
};

must_use int pids_add(struct pids *pids, pid_t pid);
void pids_free(struct pids *pids);

/* The threads of a process; a leader that has ended but lives on as the name of the rest is among them. */
must_use int proc_threads(pid_t pid, struct pids *threads);

/* The children of all its threads. */
must_use int proc_children(pid_t pid, struct pids *children);

struct proc_status {
    char state;         /* as in ps: R S D T t Z X */
    long uid;           /* effective */
    long gid;           /* effective */
    pid_t inner;        /* its own PID in its own PID namespace; of a thread, the TID */
    bool filtered;      /* a seccomp filter or strict mode */
    uint64_t pending;   /* signals of this thread alone; bit n - 1 is signal n */
    uint64_t shared;    /* signals of the process */
    long queued, limit; /* signals queued for its user, and how many may be */
};

/* Of a thread; tid == pid is the leader. */
must_use int proc_status(pid_t pid, pid_t tid, struct proc_status *status);

/* Out of the text of a status file: what proc_status() reads. For its test. */
must_use int proc_parse_status(const char *text, struct proc_status *status);

/* The signal that its parent gets at its end; 0: none. */
must_use int proc_exit_signal(pid_t pid);

/* The name of its first thread. */
must_use int proc_name(pid_t pid, char name[16]);

/* Private, executable memory of at least `size` bytes, the vdso if it will do: for code that replaces all. */
must_use int proc_code_area(pid_t pid, size_t size, uint64_t *start);

/*
 * Private, executable, read-only memory of at least `size` bytes that no program uses: the zeros between the
 * end of a program's (or a library's, or the vdso's) code and the end of its last page. The page may also
 * begin with `magic`, which a user of that area left there. Aligned to 16. -ENOSPC if there is none. Above it
 * stay so many bytes for other users: each of them has its own place.
 */
must_use int proc_padding(pid_t pid, size_t size, size_t above, uint64_t magic, uint64_t *start, bool *used);

/* What a thread does in the kernel. */
struct proc_call {
    bool blocked; /* it sleeps there: the rest is known */
    long number;  /* of the system call; -1: none */
    uint64_t arguments[6];
    uint64_t ip; /* behind the call */
};

/* Without touching the thread. */
must_use int proc_call(pid_t pid, pid_t tid, struct proc_call *call);

/* Reads the memory of a process. -EIO if not all could be. */
must_use int proc_read(pid_t pid, uint64_t from, void *data, size_t size);

/* Writes it, also where the process itself may not: within a page, all or nothing. Not every host allows that. */
must_use int proc_write(pid_t pid, uint64_t to, const void *data, size_t size);

#endif
