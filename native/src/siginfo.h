/*
 * Signals on their way between hosts: the kernel's siginfo, byte for byte, as hexadecimal digits.
 * Never through glibc's sigwaitinfo or its like: that turns the code SI_TKILL into SI_USER.
 */
#ifndef EXILE_SIGINFO_H
#define EXILE_SIGINFO_H

#include "shim.h"

#include <signal.h>
#include <stdbool.h>

/* The kernel's own siginfo ends here on 64-bit systems; it hands out zeros for the rest of siginfo_t. */
enum { SIGINFO_BYTES = 48, SIGINFO_TEXT = 2 * SIGINFO_BYTES + 1 };

void siginfo_print(const siginfo_t *info, char *text);

/* -EINVAL unless these are SIGINFO_BYTES bytes with a valid signal number. */
must_use int siginfo_parse(const char *text, siginfo_t *info);

/*
 * True for what the process `self` brings upon itself: faults, timers, its children's ends, its descriptors,
 * what it raises. Of these, what was pending at the dump travels in CRIU's images (criu/QueuedSignals.java has
 * the same rule), and since then the real process gets its own at the destination.
 */
must_use bool siginfo_is_own(const siginfo_t *info, pid_t self);

#endif
