/* Raw system calls, for what the C library lacks or does with surprises. Negative errno on failure. */
#ifndef EXILE_SYS_H
#define EXILE_SYS_H

#include "shim.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

must_use int sys_pidfd_open(pid_t pid);

must_use int sys_pidfd_signal(int pidfd, int number);

/* A duplicate, close-on-exec, of a descriptor of another process, which may be in any state. */
must_use int sys_take_fd(pid_t pid, int fd);

/* A fork into new namespaces (CLONE_NEW* flags). 0 in the child, the child's pid in the parent. */
must_use pid_t sys_fork_into(unsigned long namespaces);

/* Closes every descriptor from `first` up. */
must_use int sys_close_from(unsigned int first);

/* Closes the descriptors from `first` to `last`. */
must_use int sys_close_range(unsigned int first, unsigned int last);

/* Points the descriptor at /dev/null. */
must_use int sys_null(int fd);

must_use int sys_write_all(int fd, const void *data, size_t size);

/* Reads a small file, from its start, as a string. Returns its length, cut to size - 1. */
must_use ssize_t sys_read_at(int dir, const char *name, char *text, size_t size);

/* Writes the text in one write(2), which is what procfs and cgroupfs want. */
must_use int sys_write_at(int dir, const char *name, const char *text);

/* Monotonic, microseconds. */
uint64_t sys_now(void);

void sys_sleep_ms(unsigned int ms);

/* Milliseconds left until a deadline of sys_now(), rounded up, for poll(2); never negative. */
int sys_left_ms(uint64_t deadline);

/* The process's turn comes before any other's from now on, where the host allows that; not its children's. */
void sys_hurry(pid_t pid);

/* A whole decimal number within [min, max], or -EINVAL. */
must_use int sys_parse_number(const char *text, long min, long max, long *number);

#endif
