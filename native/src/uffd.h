/* Raw calls on a userfaultfd(2) of another process. Negative errno on failure, as sys.h. */
#ifndef EXILE_UFFD_H
#define EXILE_UFFD_H

#include "shim.h"

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PAGE_SIZE = 4096 };

/*
 * Puts bytes where nothing is yet and wakes whoever waits there. Returns how many are in, which may be fewer
 * than asked for. -EEXIST: something is at the first page already. -EAGAIN: the process changes its mappings,
 * read the events. -ENOENT: the first page is none of ours, or the range is not in one mapping. -ESRCH: the
 * process has gone, or executes another program. -EFAULT: the source cannot be read.
 */
must_use int64_t uffd_copy(int fd, uint64_t address, const void *data, uint64_t size);

/* The same with zeros, which take no memory until they are written to. */
must_use int64_t uffd_zero(int fd, uint64_t address, uint64_t size);

/* Whoever waits in this range tries again, and is told of again if he has to wait again. */
void uffd_wake(int fd, uint64_t start, uint64_t size);

/* From now on what is not there is zeros; whoever waits goes on. -ENOMEM: the process has gone. */
must_use int uffd_unregister(int fd, uint64_t start, uint64_t size);

/* False once the process has gone; true also where the kernel cannot tell. */
must_use bool uffd_lives(int fd);

/* Whether this descriptor is a userfaultfd at all. */
must_use bool uffd_is(int fd);

/* Reads up to `count` messages without waiting; returns how many, 0: none. */
must_use int uffd_read(int fd, struct uffd_msg *messages, size_t count);

#endif
